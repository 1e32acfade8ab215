package sigstoretest

import (
	"crypto"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"time"

	"github.com/digitorus/timestamp"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/secure-systems-lab/go-securesystemslib/dsse"
	cosignbundle "github.com/sigstore/cosign/v2/pkg/cosign/bundle"
	"github.com/sigstore/cosign/v2/pkg/oci"
	"github.com/sigstore/cosign/v2/pkg/oci/static"
	bundle "github.com/sigstore/protobuf-specs/gen/pb-go/bundle/v1"
	common "github.com/sigstore/protobuf-specs/gen/pb-go/common/v1"
	protodsse "github.com/sigstore/protobuf-specs/gen/pb-go/dsse"
	rekor "github.com/sigstore/protobuf-specs/gen/pb-go/rekor/v1"
	"github.com/sigstore/sigstore/pkg/cryptoutils"
	"google.golang.org/protobuf/encoding/protojson"
)

// What bundles of image signatures carry.
const (
	PayloadType   = "application/vnd.in-toto+json"
	PredicateType = "https://sigstore.dev/cosign/sign/v1"
	BundleType    = "application/vnd.dev.sigstore.bundle.v0.3+json"
)

// Log says where a signature is logged.
type Log int

// The logs of an Authority.
const (
	RekorV1       Log = iota // with an entry of the kind clients ask for today
	RekorV1Intoto            // the older kind of entry for envelopes
	RekorV2
	NotLogged
)

// How says what a signature is accompanied by. The zero value is what cosign does: logged now.
type How struct {
	At          time.Time // when it is logged and timestamped; zero: now
	Log         Log
	Timestamped bool // by the timestamp authority
}

// Signature is a signature with everything that was made around it. The fields may be exchanged
// before it is written.
type Signature struct {
	Payload     []byte // signed: as it is, or, of an envelope, in DSSE's encoding
	Raw         []byte // the signature
	Certificate *x509.Certificate
	Chain       []*x509.Certificate         // written into layers only
	Entry       *rekor.TransparencyLogEntry // nil: not logged
	Timestamp   []byte                      // RFC 3161; nil: none
	hint        string                      // names the key in a bundle
	envelope    bool
}

// SignPayload signs bytes as they are: a simple-signing payload, or a manifest for a bundle without
// envelope.
func (a *Authority) SignPayload(c Credential, payload []byte, how How) (*Signature, error) {
	return a.signed(c, payload, payload, how, func(raw, verifier []byte) (body, error) {
		return hashedRekord(payload, raw, verifier), nil
	})
}

// SignStatement signs an in-toto statement in an envelope.
func (a *Authority) SignStatement(c Credential, statement []byte, how How) (*Signature, error) {
	s, err := a.signed(c, statement, dsse.PAE(PayloadType, statement), how, func(raw, verifier []byte) (body, error) {
		envelope, err := json.Marshal(dsse.Envelope{
			PayloadType: PayloadType, Payload: base64.StdEncoding.EncodeToString(statement),
			Signatures: []dsse.Signature{{Sig: base64.StdEncoding.EncodeToString(raw)}},
		})
		if how.Log == RekorV1Intoto {
			return intotoEntry(envelope, statement, raw, verifier), err
		}
		return dsseEntry(envelope, statement, raw, verifier), err
	})
	if err == nil {
		s.envelope = true
	}
	return s, err
}

// signed signs data, which stands for payload, and has it logged as entry says.
func (a *Authority) signed(
	c Credential, payload, data []byte, how How, entry func(raw, verifier []byte) (body, error),
) (*Signature, error) {
	made, err := c.Signer.SignPayload(data)
	if err != nil {
		return nil, err
	}
	encoded, err := made.Base64Signature()
	if err != nil {
		return nil, err
	}
	s := &Signature{Payload: payload, Certificate: c.Certificate}
	if s.Raw, err = base64.StdEncoding.DecodeString(encoded); err != nil {
		return nil, err
	}
	if c.Certificate != nil {
		s.Chain = a.Chain()
	}
	der, err := publicKeyDER(c)
	if err != nil {
		return nil, err
	}
	sum := sha256.Sum256(der)
	s.hint = base64.StdEncoding.EncodeToString(sum[:])
	if how.At.IsZero() {
		how.At = time.Now()
	}
	if how.Timestamped {
		if s.Timestamp, err = a.stamp(s.Raw, how.At); err != nil {
			return nil, err
		}
	}
	s.Entry, err = a.log(c, data, s.Raw, how, entry)
	return s, err
}

// log enters a signature over data where how says; nil when nowhere.
func (a *Authority) log(
	c Credential, data, raw []byte, how How, entry func(raw, verifier []byte) (body, error),
) (*rekor.TransparencyLogEntry, error) {
	switch how.Log {
	case NotLogged:
		return nil, nil
	case RekorV2:
		return a.rekorV2.addTiled(data, raw, c)
	}
	verifier, err := verifierPEM(c)
	if err != nil {
		return nil, err
	}
	b, err := entry(raw, verifier)
	if err != nil {
		return nil, err
	}
	return a.rekorV1.add(b, how.At)
}

// stamp returns a timestamp response (RFC 3161) over a signature.
func (a *Authority) stamp(raw []byte, at time.Time) ([]byte, error) {
	sum := sha256.Sum256(raw)
	return a.Stamp(crypto.SHA256, sum[:], at)
}

// Stamp returns a timestamp response (RFC 3161) over what has a hash.
func (a *Authority) Stamp(hash crypto.Hash, hashed []byte, at time.Time) ([]byte, error) {
	stamp := timestamp.Timestamp{
		HashAlgorithm: hash, HashedMessage: hashed, Time: at,
		Policy: []int{1, 3, 6, 1, 4, 1, 57264, 2},
	}
	return stamp.CreateResponseWithOpts(a.stamper.certificate, a.stamper.key, crypto.SHA256)
}

func publicKeyDER(c Credential) ([]byte, error) {
	block, _ := pem.Decode(c.Signer.PublicKeyPEM())
	if block == nil {
		return nil, fmt.Errorf("public key is no PEM")
	}
	return block.Bytes, nil
}

// Statement is what cosign signs for an image in a bundle.
func Statement(digest v1.Hash, annotations map[string]string) ([]byte, error) {
	subject := object{"digest": object{digest.Algorithm: digest.Hex}}
	if len(annotations) > 0 {
		subject["annotations"] = annotations
	}
	return json.Marshal(object{
		"_type": "https://in-toto.io/Statement/v1", "subject": []object{subject},
		"predicateType": PredicateType, "predicate": object{},
	})
}

// Layer returns s as a layer of a ".sig" image; sign.AttachLayer writes it.
func (s *Signature) Layer() (oci.Signature, error) {
	options, err := s.layerOptions()
	if err != nil {
		return nil, err
	}
	return static.NewSignature(s.Payload, base64.StdEncoding.EncodeToString(s.Raw), options...)
}

// layerOptions writes everything around the signature as annotations of a layer.
func (s *Signature) layerOptions() ([]static.Option, error) {
	var options []static.Option
	if s.Certificate != nil {
		leaf, err := cryptoutils.MarshalCertificateToPEM(s.Certificate)
		if err != nil {
			return nil, err
		}
		chain, err := cryptoutils.MarshalCertificatesToPEM(s.Chain)
		if err != nil {
			return nil, err
		}
		options = append(options, static.WithCertChain(leaf, chain))
	}
	if s.Entry != nil {
		options = append(options, static.WithBundle(&cosignbundle.RekorBundle{
			SignedEntryTimestamp: s.Entry.GetInclusionPromise().GetSignedEntryTimestamp(),
			Payload: cosignbundle.RekorPayload{
				Body:           base64.StdEncoding.EncodeToString(s.Entry.CanonicalizedBody),
				IntegratedTime: s.Entry.IntegratedTime, LogIndex: s.Entry.LogIndex,
				LogID: hex.EncodeToString(s.Entry.LogId.KeyId),
			},
		}))
	}
	if s.Timestamp != nil {
		options = append(options, static.WithRFC3161Timestamp(cosignbundle.TimestampToRFC3161Timestamp(s.Timestamp)))
	}
	return options, nil
}

// Bundle returns s as the JSON of a bundle, version 0.3.
func (s *Signature) Bundle() ([]byte, error) {
	material := &bundle.VerificationMaterial{Content: &bundle.VerificationMaterial_PublicKey{
		PublicKey: &common.PublicKeyIdentifier{Hint: s.hint},
	}}
	if s.Certificate != nil {
		material.Content = &bundle.VerificationMaterial_Certificate{
			Certificate: &common.X509Certificate{RawBytes: s.Certificate.Raw},
		}
	}
	if s.Entry != nil {
		material.TlogEntries = []*rekor.TransparencyLogEntry{s.Entry}
	}
	if s.Timestamp != nil {
		material.TimestampVerificationData = &bundle.TimestampVerificationData{
			Rfc3161Timestamps: []*common.RFC3161SignedTimestamp{{SignedTimestamp: s.Timestamp}},
		}
	}
	document := &bundle.Bundle{MediaType: BundleType, VerificationMaterial: material}
	if s.envelope {
		document.Content = &bundle.Bundle_DsseEnvelope{DsseEnvelope: &protodsse.Envelope{
			Payload: s.Payload, PayloadType: PayloadType, Signatures: []*protodsse.Signature{{Sig: s.Raw}},
		}}
	} else {
		sum := sha256.Sum256(s.Payload)
		document.Content = &bundle.Bundle_MessageSignature{MessageSignature: &common.MessageSignature{
			MessageDigest: &common.HashOutput{Algorithm: common.HashAlgorithm_SHA2_256, Digest: sum[:]},
			Signature:     s.Raw,
		}}
	}
	return protojson.Marshal(document)
}
