package folder_test

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"testing"

	"policy-server/folder"
)

func TestPrivate(t *testing.T) {
	root := t.TempDir()
	made := filepath.Join(root, "a", "b")
	open := filepath.Join(root, "open")
	if err := os.Mkdir(open, 0o777); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(open, 0o777); err != nil {
		t.Fatal(err)
	}
	for _, path := range []string{made, made, open} {
		if err := folder.Private(path); err != nil {
			t.Fatal(err)
		}
		if info, err := os.Lstat(path); err != nil || info.Mode() != fs.ModeDir|0o700 {
			t.Errorf("%s: %v, %v", path, info.Mode(), err)
		}
	}
}

// TestPrivate_refused holds that what is not a folder of this user's is refused, and left as it is.
func TestPrivate_refused(t *testing.T) {
	root := t.TempDir()
	target := filepath.Join(root, "target")
	if err := os.Mkdir(target, 0o755); err != nil {
		t.Fatal(err)
	}
	link, file := filepath.Join(root, "link"), filepath.Join(root, "file")
	if err := os.Symlink(target, link); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(file, nil, 0o644); err != nil {
		t.Fatal(err)
	}
	for path, want := range map[string]string{
		link: link + " is not a folder, or a link to one",
		file: "mkdir " + file + ": not a directory",
	} {
		if err := folder.Private(path); err == nil || err.Error() != want {
			t.Errorf("got %v, want %s", err, want)
		}
	}
	if info, err := os.Stat(target); err != nil || info.Mode().Perm() != 0o755 {
		t.Errorf("what the link leads to: %v, %v", info.Mode(), err)
	}
	var notOurs *folder.NotOursError
	if os.Geteuid() != 0 { // another user's: root owns nothing that is not its own here
		if err := folder.Private("/"); !errors.As(err, &notOurs) || notOurs.Reason != "belongs to user 0" {
			t.Errorf("got %v", err)
		}
		return
	}
	if err := os.Chown(target, 12345, 12345); err != nil {
		t.Fatal(err)
	}
	if err := folder.Private(target); !errors.As(err, &notOurs) || notOurs.Reason != "belongs to user 12345" {
		t.Errorf("got %v", err)
	}
}

// TestOnlyOurs holds what a file below a root is believed for.
func TestOnlyOurs(t *testing.T) {
	root := t.TempDir()
	path := filepath.Join(root, "a", "b", "file")
	for _, err := range []error{os.MkdirAll(filepath.Dir(path), 0o755), os.WriteFile(path, nil, 0o644)} {
		if err != nil {
			t.Fatal(err)
		}
	}
	for name, c := range map[string]struct {
		path string
		err  string // of OnlyOurs
		link bool   // NoLinks fails too
	}{
		"a file":       {path, "", false},
		"none":         {filepath.Join(root, "a", "none"), "", false},
		"below none":   {filepath.Join(root, "none", "file"), "", false},
		"elsewhere":    {filepath.Dir(root), " is not below " + root, true},
		"below a file": {filepath.Join(path, "x"), " is a link, or no file or folder", true},
	} {
		err, links := folder.OnlyOurs(root, c.path), folder.NoLinks(root, c.path)
		var notOurs *folder.NotOursError
		if (err == nil) != (c.err == "") || err != nil && (!errors.As(err, &notOurs) || " "+notOurs.Reason != c.err) || (links != nil) != c.link {
			t.Errorf("%s: %v, %v", name, err, links)
		}
	}
	if err := os.Chmod(filepath.Join(root, "a"), 0o777); err != nil {
		t.Fatal(err)
	}
	if err := folder.OnlyOurs(root, path); err == nil || err.Error() != filepath.Join(root, "a")+" may be written by everybody" {
		t.Errorf("got %v", err)
	}
	if os.Geteuid() == 0 { // others cannot give files away
		if err := errors.Join(os.Chmod(filepath.Join(root, "a"), 0o755), os.Chown(path, 12345, 12345)); err != nil {
			t.Fatal(err)
		}
		if err := folder.OnlyOurs(root, path); err == nil || err.Error() != path+" belongs to user 12345" {
			t.Errorf("got %v", err)
		}
	}
	if err := folder.NoLinks(root, path); err != nil {
		t.Errorf("no link is there: %v", err)
	}
}
