// Package folder makes and checks folders whose files are trusted because nobody else may write
// there. It follows no symbolic link and changes nothing that is not this user's.
package folder

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
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
