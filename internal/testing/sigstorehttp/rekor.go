package sigstorehttp

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"net/http"
	"time"

	"github.com/go-openapi/runtime"
	protorekor "github.com/sigstore/protobuf-specs/gen/pb-go/rekor/v1"
	"github.com/sigstore/rekor/pkg/generated/models"
	"github.com/sigstore/rekor/pkg/types"
)

// log answers POST /api/v1/log/entries.
func (s *Services) log(r *http.Request) (int, http.Header, []byte, error) {
	body, err := canonicalEntry(r)
	if err != nil {
		return 0, nil, nil, err
	}
	entry, err := s.Authority.Log(body, time.Now())
	if err != nil {
		return 0, nil, nil, err
	}
	leaf := sha256.Sum256(append([]byte{0}, body...)) // RFC 6962, 2.1
	uuid := hex.EncodeToString(leaf[:])
	answer, err := json.Marshal(map[string]any{uuid: logged(entry)})
	header := http.Header{"Content-Type": {"application/json"}, "Etag": {uuid}, "Location": {"/api/v1/log/entries/" + uuid}}
	return http.StatusCreated, header, answer, err
}

// logged returns entry as the API writes it: bytes in base64, hashes in hex digits.
func logged(entry *protorekor.TransparencyLogEntry) map[string]any {
	proof := entry.GetInclusionProof()
	hashes := []string{}
	for _, hash := range proof.GetHashes() {
		hashes = append(hashes, hex.EncodeToString(hash))
	}
	return map[string]any{
		"body":           entry.GetCanonicalizedBody(),
		"integratedTime": entry.GetIntegratedTime(),
		"logID":          hex.EncodeToString(entry.GetLogId().GetKeyId()),
		"logIndex":       entry.GetLogIndex(),
		"verification": map[string]any{
			"signedEntryTimestamp": entry.GetInclusionPromise().GetSignedEntryTimestamp(),
			"inclusionProof": map[string]any{
				"logIndex": proof.GetLogIndex(), "treeSize": proof.GetTreeSize(), "hashes": hashes,
				"rootHash": hex.EncodeToString(proof.GetRootHash()), "checkpoint": proof.GetCheckpoint().GetEnvelope(),
			},
		},
	}
}

// canonicalEntry reads what a client proposes and returns it as the log keeps it, once its
// signature holds.
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
