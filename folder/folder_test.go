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
