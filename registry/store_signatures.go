package registry

import (
	"bytes"
	"io/fs"
	"path/filepath"
	goruntime "runtime"

	"github.com/google/go-containerregistry/pkg/name"
)

// Beside the modules, the store keeps the signatures that their registries had last:
//
//	ROOT/signatures/registry/HOST[:PORT]/DIRECTORY/…/FILE@sha256:HEX
//
// They are registry/verify's, which verifies what it finds here as if it came from a registry, so
// that an attacker gains nothing by writing them. Kubewarden leaves such a directory alone.

// signaturesPath is where the signatures of d are kept: by repository too, for another one may have
// others, or none.
func (s Store) signaturesPath(d name.Digest) (string, error) {
	ref, err := ParseReference(SchemeRegistry + "://" + d.Name())
	if err != nil {
		return "", err
	}
	return filepath.Join(s.root, "signatures", storeName(ref, goruntime.GOOS)), nil
}

// KeepSignatures stores content as the signatures of d, in place of those stored before; nil
// content removes them. A store that keeps nothing keeps none.
func (s Store) KeepSignatures(d name.Digest, content []byte) error {
	if s.root == "" {
		return nil
	}
	path, err := s.signaturesPath(d)
	if err != nil {
		return err
	}
	if content == nil {
		return removeFile(path)
	}
	if kept, err := readFile(path, "file of signatures", int64(len(content))); err == nil && bytes.Equal(kept, content) {
		return nil // a store that cannot be written to is as good
	}
	return s.replace(path, content)
}

// KeptSignatures returns what was stored as the signatures of d: foreign bytes. The error is
// fs.ErrNotExist when there are none, a *TooLargeError above limit bytes.
func (s Store) KeptSignatures(d name.Digest, limit int64) ([]byte, error) {
	if s.root == "" {
		return nil, fs.ErrNotExist
	}
	path, err := s.signaturesPath(d)
	if err != nil {
		return nil, err
	}
	return readFile(path, "file of signatures", limit)
}
