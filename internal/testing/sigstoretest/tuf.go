package sigstoretest

import (
	"crypto"
	"crypto/ed25519"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"net/http"
	"sync"
	"time"

	"github.com/sigstore/sigstore/pkg/signature"
	"github.com/theupdateframework/go-tuf/v2/metadata"
)

// TUFRepository is a TUF repository with one target, "trusted_root.json". It is an http.Handler.
type TUFRepository struct {
	key     ed25519.PrivateKey
	root    []byte
	version int64

	mu       sync.Mutex
	files    map[string][]byte // by path
	requests int
}

// NewTUFRepository returns a repository that has published nothing yet but its root.
func NewTUFRepository() (*TUFRepository, error) {
	_, key, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		return nil, err
	}
	r := &TUFRepository{key: key, files: map[string][]byte{}}
	root := metadata.Root(time.Now().Add(lifetime))
	public, err := metadata.KeyFromPublicKey(key.Public())
	if err != nil {
		return nil, err
	}
	for _, role := range []string{metadata.ROOT, metadata.TARGETS, metadata.SNAPSHOT, metadata.TIMESTAMP} {
		if err := root.Signed.AddKey(public, role); err != nil {
			return nil, err
		}
	}
	if r.root, err = signedMetadata(r, root); err != nil {
		return nil, err
	}
	r.files["/1.root.json"] = r.root
	return r, nil
}

// Root returns what trust in the repository begins with.
func (r *TUFRepository) Root() []byte { return r.root }

// Publish makes trustedRoot the target, in metadata that expires then.
func (r *TUFRepository) Publish(trustedRoot []byte, expires time.Time) error {
	const target = "trusted_root.json"
	r.version++
	targets := metadata.Targets(expires)
	targets.Signed.Version = r.version
	file, err := metadata.TargetFile().FromBytes(target, trustedRoot, "sha256")
	if err != nil {
		return err
	}
	targets.Signed.Targets[target] = file
	snapshot := metadata.Snapshot(expires)
	snapshot.Signed.Version = r.version
	snapshot.Signed.Meta["targets.json"] = metadata.MetaFile(r.version)
	timestamp := metadata.Timestamp(expires)
	timestamp.Signed.Version = r.version
	timestamp.Signed.Meta["snapshot.json"] = metadata.MetaFile(r.version)

	published := map[string][]byte{}
	if published[fmt.Sprintf("/%d.targets.json", r.version)], err = signedMetadata(r, targets); err != nil {
		return err
	}
	if published[fmt.Sprintf("/%d.snapshot.json", r.version)], err = signedMetadata(r, snapshot); err != nil {
		return err
	}
	if published["/timestamp.json"], err = signedMetadata(r, timestamp); err != nil {
		return err
	}
	sum := sha256.Sum256(trustedRoot)
	published["/targets/"+hex.EncodeToString(sum[:])+"."+target] = trustedRoot
	r.mu.Lock()
	defer r.mu.Unlock()
	for path, content := range published {
		r.files[path] = content
	}
	return nil
}

func signedMetadata[T metadata.Roles](r *TUFRepository, m *metadata.Metadata[T]) ([]byte, error) {
	signer, err := signature.LoadSigner(r.key, crypto.Hash(0))
	if err != nil {
		return nil, err
	}
	if _, err := m.Sign(signer); err != nil {
		return nil, err
	}
	return m.ToBytes(false)
}

// ServeHTTP serves the files.
func (r *TUFRepository) ServeHTTP(w http.ResponseWriter, req *http.Request) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.requests++
	content, ok := r.files[req.URL.Path]
	if !ok {
		http.NotFound(w, req)
		return
	}
	_, _ = w.Write(content)
}

// Requests returns how many requests were served so far.
func (r *TUFRepository) Requests() int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.requests
}
