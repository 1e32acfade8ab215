package sigstorehttp

import (
	"bytes"
	"context"
	"crypto"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"net/http"
	"time"

	"github.com/cyberphone/json-canonicalization/go/src/webpki.org/jsoncanonicalizer"
	"github.com/go-openapi/runtime"
	"github.com/sigstore/rekor/pkg/generated/models"
	"github.com/sigstore/rekor/pkg/types"
	"github.com/sigstore/rekor/pkg/util"
	"github.com/sigstore/sigstore/pkg/signature"
)

const origin = "rekor.test"

// log answers POST /api/v1/log/entries. Each entry is the only one of its tree, which keeps proofs short.
func (s *Services) log(r *http.Request) (int, http.Header, []byte, error) {
	body, err := canonicalEntry(r)
	if err != nil {
		return 0, nil, nil, err
	}
	s.rekorEntries++
	promised := map[string]any{
		"body":           base64.StdEncoding.EncodeToString(body),
		"integratedTime": time.Now().Unix(),
		"logID":          s.rekorID,
		"logIndex":       s.rekorEntries,
	}
	promise, err := s.promise(promised)
	if err != nil {
		return 0, nil, nil, err
	}
	leaf := sha256.Sum256(append([]byte{0}, body...))
	checkpoint, err := s.checkpoint(r.Context(), leaf[:])
	if err != nil {
		return 0, nil, nil, err
	}
	promised["verification"] = map[string]any{
		"signedEntryTimestamp": promise,
		"inclusionProof": map[string]any{
			"logIndex": 0, "treeSize": 1, "hashes": []string{}, "rootHash": hex.EncodeToString(leaf[:]), "checkpoint": checkpoint,
		},
	}
	uuid := hex.EncodeToString(leaf[:])
	answer, err := json.Marshal(map[string]any{uuid: promised})
	header := http.Header{"Content-Type": {"application/json"}, "Etag": {uuid}, "Location": {"/api/v1/log/entries/" + uuid}}
	return http.StatusCreated, header, answer, err
}

// canonicalEntry reads what a client proposes and returns it as the log keeps it, once its signature holds.
func canonicalEntry(r *http.Request) ([]byte, error) {
	var proposed bytes.Buffer
	if _, err := proposed.ReadFrom(r.Body); err != nil {
		return nil, err
	}
	document, err := models.UnmarshalProposedEntry(&proposed, runtime.JSONConsumer())
	if err != nil {
		return nil, err
	}
	entry, err := types.UnmarshalEntry(document)
	if err != nil {
		return nil, err
	}
	return types.CanonicalizeEntry(r.Context(), entry)
}

// promise signs an entry's place in the log.
func (s *Services) promise(entry map[string]any) ([]byte, error) {
	document, err := json.Marshal(entry)
	if err != nil {
		return nil, err
	}
	canonical, err := jsoncanonicalizer.Transform(document)
	if err != nil {
		return nil, err
	}
	sum := sha256.Sum256(canonical)
	return s.rekor.Sign(rand.Reader, sum[:], crypto.SHA256)
}

func (s *Services) checkpoint(ctx context.Context, rootHash []byte) (string, error) {
	signer, err := signature.LoadECDSASigner(s.rekor, crypto.SHA256)
	if err != nil {
		return "", err
	}
	note, err := util.CreateAndSignCheckpoint(ctx, origin, 1, 1, rootHash, signer)
	return string(note), err
}

func verifyWith(key crypto.PublicKey, signed, message []byte) error {
	verifier, err := signature.LoadVerifier(key, crypto.SHA256)
	if err != nil {
		return err
	}
	return verifier.VerifySignature(bytes.NewReader(signed), bytes.NewReader(message))
}
