//go:build unix

package folder

import (
	"fmt"
	"io/fs"
	"os"
	"syscall"
)

// noFollow makes opening a symbolic link fail.
const noFollow = syscall.O_NOFOLLOW | syscall.O_DIRECTORY

// rootOwner is root as an owner.
const rootOwner = "user 0"

// owned tells who a file belongs to, and whether that is this user.
func owned(info fs.FileInfo) (owner string, ours bool) {
	stat, ok := info.Sys().(*syscall.Stat_t)
	if !ok {
		return "nobody known", false
	}
	return fmt.Sprintf("user %d", stat.Uid), int(stat.Uid) == os.Geteuid()
}
