package sigstoretest

import (
	"context"
	"crypto"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"time"

	"github.com/cyberphone/json-canonicalization/go/src/webpki.org/jsoncanonicalizer"
	common "github.com/sigstore/protobuf-specs/gen/pb-go/common/v1"
	rekor "github.com/sigstore/protobuf-specs/gen/pb-go/rekor/v1"
	tiles "github.com/sigstore/rekor-tiles/v2/pkg/generated/protobuf"
	rekornote "github.com/sigstore/rekor-tiles/v2/pkg/note"
	"github.com/sigstore/rekor/pkg/util"
	"github.com/sigstore/sigstore/pkg/cryptoutils"
	"github.com/sigstore/sigstore/pkg/signature"
	checkpoint "github.com/transparency-dev/formats/log"
	"github.com/transparency-dev/merkle/rfc6962"
	"golang.org/x/mod/sumdb/note"
	"google.golang.org/protobuf/encoding/protojson"
)

// transparencyLog is a log of signatures, of which each entry is the second of two in a tree of its
// own.
type transparencyLog struct {
	key    crypto.Signer
	origin string // the name checkpoints are signed under, and the host of its address
	id     []byte
	next   int64 // index of the next entry
}

func newLog(key crypto.Signer, origin string) *transparencyLog {
	return &transparencyLog{key: key, origin: origin, id: keyID(key.Public()), next: 1000}
}

// sibling stands for all entries that came before, in every inclusion proof.
var sibling = sha256.Sum256([]byte("the other entries"))

// body is a log entry before it was logged: what each kind of the first log says in its own words.
type body struct {
	kind, version string
	spec          any
}

type object = map[string]any

func hashOf(data []byte) object {
	sum := sha256.Sum256(data)
	return object{"algorithm": "sha256", "value": hex.EncodeToString(sum[:])}
}

// hashedRekord is the entry of a signature over payload.
func hashedRekord(payload, raw, verifier []byte) body {
	return body{"hashedrekord", "0.0.1", object{
		"data":      object{"hash": hashOf(payload)},
		"signature": object{"content": raw, "publicKey": object{"content": verifier}},
	}}
}

// dsseEntry is the entry of an envelope.
func dsseEntry(envelope, payload, raw, verifier []byte) body {
	return body{"dsse", "0.0.1", object{
		"envelopeHash": hashOf(envelope), "payloadHash": hashOf(payload),
		"signatures": []object{{"signature": raw, "verifier": verifier}},
	}}
}

// intotoEntry is the entry of an envelope as older clients asked for it. The signature is encoded
// twice.
func intotoEntry(envelope, payload, raw, verifier []byte) body {
	return body{"intoto", "0.0.2", object{"content": object{
		"envelope": object{
			"payloadType": PayloadType,
			"signatures":  []object{{"publicKey": verifier, "sig": []byte(base64.StdEncoding.EncodeToString(raw))}},
		},
		"hash": hashOf(envelope), "payloadHash": hashOf(payload),
	}}}
}

// Log enters content, the canonical form of what a client proposed, in the first version of the
// log.
func (a *Authority) Log(content []byte, at time.Time) (*rekor.TransparencyLogEntry, error) {
	var kind rekor.KindVersion
	if err := json.Unmarshal(content, &struct{ Kind, APIVersion *string }{&kind.Kind, &kind.Version}); err != nil {
		return nil, err
	}
	return a.rekorV1.include(&kind, content, at)
}

// add logs b at a time in the first version of the log.
func (l *transparencyLog) add(b body, at time.Time) (*rekor.TransparencyLogEntry, error) {
	content, err := json.Marshal(object{"apiVersion": b.version, "kind": b.kind, "spec": b.spec})
	if err != nil {
		return nil, err
	}
	return l.include(&rekor.KindVersion{Kind: b.kind, Version: b.version}, content, at)
}

// include logs an entry with a promise, and a proof under a checkpoint.
func (l *transparencyLog) include(
	kind *rekor.KindVersion, content []byte, at time.Time,
) (*rekor.TransparencyLogEntry, error) {
	entry := &rekor.TransparencyLogEntry{
		LogIndex:          l.next,
		LogId:             &common.LogId{KeyId: l.id},
		KindVersion:       kind,
		IntegratedTime:    at.Unix(),
		CanonicalizedBody: content,
	}
	l.next++
	promise, err := l.promise(entry)
	if err != nil {
		return nil, err
	}
	entry.InclusionPromise = &rekor.InclusionPromise{SignedEntryTimestamp: promise}
	top := rfc6962.DefaultHasher.HashChildren(sibling[:], rfc6962.DefaultHasher.HashLeaf(content))
	signer, err := signature.LoadSigner(l.key, crypto.SHA256)
	if err != nil {
		return nil, err
	}
	signed, err := util.CreateAndSignCheckpoint(context.Background(), l.origin, 42, 2, top, signer)
	if err != nil {
		return nil, err
	}
	entry.InclusionProof = inclusion(1, top, signed)
	return entry, nil
}

// promise signs that entry will be in the log.
func (l *transparencyLog) promise(entry *rekor.TransparencyLogEntry) ([]byte, error) {
	// The names are in the order that makes this canonical JSON.
	promised, err := json.Marshal(struct {
		Body           []byte `json:"body"`
		IntegratedTime int64  `json:"integratedTime"`
		LogID          string `json:"logID"`
		LogIndex       int64  `json:"logIndex"`
	}{entry.CanonicalizedBody, entry.IntegratedTime, hex.EncodeToString(l.id), entry.LogIndex})
	if err != nil {
		return nil, err
	}
	sum := sha256.Sum256(promised)
	return l.key.Sign(rand.Reader, sum[:], crypto.SHA256)
}

// addTiled logs a signature over data in the second version of the log: a proof, and neither
// promise nor time.
func (l *transparencyLog) addTiled(data, raw []byte, c Credential) (*rekor.TransparencyLogEntry, error) {
	verifier := &tiles.Verifier{KeyDetails: common.PublicKeyDetails_PKIX_ECDSA_P256_SHA_256}
	if c.Certificate != nil {
		verifier.Verifier = &tiles.Verifier_X509Certificate{
			X509Certificate: &common.X509Certificate{RawBytes: c.Certificate.Raw},
		}
	} else {
		der, err := publicKeyDER(c)
		if err != nil {
			return nil, err
		}
		verifier.Verifier = &tiles.Verifier_PublicKey{PublicKey: &tiles.PublicKey{RawBytes: der}}
	}
	sum := sha256.Sum256(data)
	content, err := protojson.Marshal(&tiles.Entry{
		Kind: "hashedrekord", ApiVersion: "0.0.2",
		Spec: &tiles.Spec{Spec: &tiles.Spec_HashedRekordV002{HashedRekordV002: &tiles.HashedRekordLogEntryV002{
			Data:      &common.HashOutput{Algorithm: common.HashAlgorithm_SHA2_256, Digest: sum[:]},
			Signature: &tiles.Signature{Content: raw, Verifier: verifier},
		}}},
	})
	if err != nil {
		return nil, err
	}
	if content, err = jsoncanonicalizer.Transform(content); err != nil {
		return nil, err
	}
	top := rfc6962.DefaultHasher.HashChildren(sibling[:], rfc6962.DefaultHasher.HashLeaf(content))
	signed, err := l.signTree(top)
	if err != nil {
		return nil, err
	}
	return &rekor.TransparencyLogEntry{
		LogIndex:          1,
		LogId:             &common.LogId{KeyId: l.id},
		KindVersion:       &rekor.KindVersion{Kind: "hashedrekord", Version: "0.0.2"},
		InclusionProof:    inclusion(1, top, signed),
		CanonicalizedBody: content,
	}, nil
}

// signTree returns a checkpoint of two entries under top.
func (l *transparencyLog) signTree(top []byte) ([]byte, error) {
	signer, err := signature.LoadSigner(l.key, crypto.SHA256)
	if err != nil {
		return nil, err
	}
	named, err := rekornote.NewNoteSigner(context.Background(), l.origin, signer)
	if err != nil {
		return nil, err
	}
	text := checkpoint.Checkpoint{Origin: l.origin, Size: 2, Hash: top}.Marshal()
	return note.Sign(&note.Note{Text: string(text)}, named)
}

func inclusion(index int64, top, signed []byte) *rekor.InclusionProof {
	return &rekor.InclusionProof{
		LogIndex: index, TreeSize: 2, RootHash: top, Hashes: [][]byte{sibling[:]},
		Checkpoint: &rekor.Checkpoint{Envelope: string(signed)},
	}
}

// verifierPEM is what the first log keeps of a signer: its certificate, else its key.
func verifierPEM(c Credential) ([]byte, error) {
	if c.Certificate == nil {
		return c.Signer.PublicKeyPEM(), nil
	}
	return cryptoutils.MarshalCertificateToPEM(c.Certificate)
}
