// Package folder makes and checks folders whose files are trusted because nobody else may write
// there. It follows no symbolic link and changes nothing that is not this user's.
package folder

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
)

// private is the mode of a folder for one user.
const private fs.FileMode = 0o700

// NotOursError reports a folder that others could have put something into.
type NotOursError struct {
	Path   string
	Reason string
}

func (e *NotOursError) Error() string { return fmt.Sprintf("%s %s", e.Path, e.Reason) }

// Private makes path a folder of this user's that nobody else may read or write, with the folders
// above it where they are missing. The error is a *[NotOursError] if something else is there: a
// symbolic link, or a folder that belongs to another user.
func Private(path string) error {
	if err := os.MkdirAll(path, private); err != nil {
		return err
	}
	file, err := openFolder(path)
	if err != nil {
		return err
	}
	defer file.Close()
	info, err := file.Stat() // of what was opened, whatever path means by now
	if err != nil {
		return err
	}
	if owner, ours := owned(info); !ours {
		return &NotOursError{path, "belongs to " + owner}
	}
	if info.Mode().Perm() == private {
		return nil
	}
	return file.Chmod(private)
}

// openFolder opens a folder that path itself is, and not what a link there leads to.
func openFolder(path string) (*os.File, error) {
	info, err := os.Lstat(path)
	if err != nil {
		return nil, err
	}
	if !info.IsDir() {
		return nil, &NotOursError{path, "is not a folder, or a link to one"}
	}
	file, err := os.OpenFile(path, os.O_RDONLY|noFollow, 0)
	if err != nil {
		return nil, errors.Join(&NotOursError{path, "is not a folder any more"}, err)
	}
	return file, nil
}

// NoLinks fails with a *[NotOursError] where a folder below root on the way to path, or path
// itself, is a symbolic link or nothing that a folder holds. What is not there is no error.
func NoLinks(root, path string) error {
	return eachBelow(root, path, func(string, fs.FileInfo) error { return nil })
}

// OnlyOurs is NoLinks, and fails as well where a folder or the file belongs to neither this user
// nor root, or everybody may write to it. root itself is for whoever chose it to judge.
func OnlyOurs(root, path string) error {
	return eachBelow(root, path, func(path string, info fs.FileInfo) error {
		if owner, ours := owned(info); !ours && owner != rootOwner {
			return &NotOursError{path, "belongs to " + owner}
		}
		if info.Mode().Perm()&0o002 != 0 {
			return &NotOursError{path, "may be written by everybody"}
		}
		return nil
	})
}

// eachBelow checks all that is on the way from root to path, in that order, as far as it is there.
func eachBelow(root, path string, check func(string, fs.FileInfo) error) error {
	below, err := filepath.Rel(root, path)
	if err != nil || !filepath.IsLocal(below) {
		return &NotOursError{path, "is not below " + root}
	}
	at := root
	for element := range strings.SplitSeq(below, string(filepath.Separator)) {
		at = filepath.Join(at, element)
		info, err := os.Lstat(at)
		switch {
		case errors.Is(err, fs.ErrNotExist):
			return nil
		case err != nil:
			return err
		case at != path && !info.IsDir(), at == path && !info.Mode().IsRegular() && !info.IsDir():
			return &NotOursError{at, "is a link, or no file or folder"}
		}
		if err := check(at, info); err != nil {
			return err
		}
	}
	return nil
}
