package main

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"

	"policy-server/registry"
)

var hexDigits = regexp.MustCompile(`^[0-9a-f]{1,64}$`)

// storedBySHA returns the URI of the module below root whose SHA-256 begins with prefix, "" when there is none.
func storedBySHA(root, prefix string) (string, error) {
	if !hexDigits.MatchString(prefix) {
		return "", nil
	}
	var found []string
	for _, scheme := range []string{registry.SchemeHTTP, registry.SchemeHTTPS, registry.SchemeRegistry} {
		err := eachFile(filepath.Join(root, scheme), func(path string) error {
			sum, err := fileSHA(path)
			if err != nil || !strings.HasPrefix(sum, prefix) {
				return err
			}
			relative, err := filepath.Rel(filepath.Join(root, scheme), path)
			found = append(found, scheme+"://"+filepath.ToSlash(relative))
			return err
		})
		if err != nil {
			return "", err
		}
	}
	switch len(found) {
	case 0:
		return "", nil
	case 1:
		return found[0], nil
	}
	return "", fmt.Errorf("multiple policies found with the same prefix: %s", prefix)
}

// eachFile calls do for every module below root, which need not exist. Names beginning with a dot are downloads that did
// not end well.
func eachFile(root string, do func(path string) error) error {
	err := filepath.WalkDir(root, func(path string, entry fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if !entry.Type().IsRegular() || strings.HasPrefix(entry.Name(), ".") {
			return nil
		}
		return do(path)
	})
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	return err
}

func fileSHA(path string) (string, error) {
	file, err := os.Open(path)
	if err != nil {
		return "", err
	}
	defer file.Close()
	hash := sha256.New()
	if _, err := io.Copy(hash, file); err != nil {
		return "", err
	}
	return hex.EncodeToString(hash.Sum(nil)), nil
}
