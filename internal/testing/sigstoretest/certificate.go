package sigstoretest

import (
	"crypto"
	"crypto/rand"
	"crypto/sha256"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"fmt"
	"maps"
	"net/url"
	"slices"
	"time"

	ct "github.com/google/certificate-transparency-go"
	cttls "github.com/google/certificate-transparency-go/tls"
	"github.com/google/certificate-transparency-go/x509util"
	"github.com/sigstore/sigstore/pkg/cryptoutils"

	"policy-server/internal/testing/signer"
)

// GitHubIssuer is the OIDC issuer of GitHub Actions.
const GitHubIssuer = "https://token.actions.githubusercontent.com"

// Identity is what a certificate says about its holder. One of URI, Email and OtherName is set, or
// several to be odd.
type Identity struct {
	URI, Email, OtherName string
	Issuer                string         // extension .8, and .1 unless LegacyIssuer says otherwise
	LegacyIssuer          string         // extension .1
	GitHub                map[int]string // extensions .2 to .6 by their last number; .5 is the repository
	NotBefore             time.Time      // zero: five minutes ago
	Lifetime              time.Duration  // zero: ten minutes, as the public instance gives
	NotLogged             bool           // no signed certificate timestamp inside
}

// Workflow is the identity of a GitHub Actions workflow of repository ("owner/name").
func Workflow(repository string) Identity {
	return Identity{
		URI:    "https://github.com/" + repository + "/.github/workflows/release.yml@refs/tags/v1",
		Issuer: GitHubIssuer,
		GitHub: map[int]string{
			2: "push", 3: "0123456789abcdef0123456789abcdef01234567", 4: "Release", 5: repository, 6: "refs/tags/v1",
		},
	}
}

// Credential is what signatures are made with: a key, and for keyless ones a certificate for it.
type Credential struct {
	Signer      *signer.Signer
	Certificate *x509.Certificate // nil: the key stands for itself
}

// NewKey returns a Credential without certificate.
func NewKey() (Credential, error) {
	key, err := signer.New()
	return Credential{Signer: key}, err
}

// Issue returns a new key with a certificate for it.
func (a *Authority) Issue(id Identity) (Credential, error) {
	credential, err := NewKey()
	if err != nil {
		return Credential{}, err
	}
	public, err := cryptoutils.UnmarshalPEMToPublicKey(credential.Signer.PublicKeyPEM())
	if err != nil {
		return Credential{}, err
	}
	credential.Certificate, err = a.Certify(id, public)
	return credential, err
}

// Certify returns a certificate for a key.
func (a *Authority) Certify(id Identity, public crypto.PublicKey) (*x509.Certificate, error) {
	template, err := id.template()
	if err != nil {
		return nil, err
	}
	certificate, err := a.sign(template, public)
	if err != nil || id.NotLogged {
		return certificate, err
	}
	sct, err := a.logCertificate(certificate)
	if err != nil {
		return nil, err
	}
	template.ExtraExtensions = append(template.ExtraExtensions, sct)
	return a.sign(template, public)
}

// Chain returns the certificates above a leaf, the root last.
func (a *Authority) Chain() []*x509.Certificate {
	return []*x509.Certificate{a.intermediate.certificate, a.root}
}

func (a *Authority) sign(template *x509.Certificate, public crypto.PublicKey) (*x509.Certificate, error) {
	der, err := x509.CreateCertificate(rand.Reader, template, a.intermediate.certificate, public, a.intermediate.key)
	if err != nil {
		return nil, fmt.Errorf("certificate: %w", err)
	}
	return x509.ParseCertificate(der)
}

func (id Identity) template() (*x509.Certificate, error) {
	notBefore, duration := id.NotBefore, id.Lifetime
	if notBefore.IsZero() {
		notBefore = time.Now().Add(-5 * time.Minute)
	}
	if duration == 0 {
		duration = 10 * time.Minute
	}
	template := &x509.Certificate{
		SerialNumber: newSerial(),
		NotBefore:    notBefore,
		NotAfter:     notBefore.Add(duration),
		KeyUsage:     x509.KeyUsageDigitalSignature,
		ExtKeyUsage:  []x509.ExtKeyUsage{x509.ExtKeyUsageCodeSigning},
	}
	if id.Email != "" {
		template.EmailAddresses = []string{id.Email}
	}
	if id.URI != "" {
		uri, err := url.Parse(id.URI)
		if err != nil {
			return nil, err
		}
		template.URIs = []*url.URL{uri}
	}
	if id.OtherName != "" {
		name, err := cryptoutils.MarshalOtherNameSAN(id.OtherName, true)
		if err != nil {
			return nil, err
		}
		template.ExtraExtensions = append(template.ExtraExtensions, *name)
	}
	template.ExtraExtensions = append(template.ExtraExtensions, id.extensions()...)
	return template, nil
}

// extensions are those of Fulcio, https://github.com/sigstore/fulcio/blob/main/docs/oid-info.md.
func (id Identity) extensions() []pkix.Extension {
	oid := func(last int) asn1.ObjectIdentifier { return asn1.ObjectIdentifier{1, 3, 6, 1, 4, 1, 57264, 1, last} }
	var list []pkix.Extension
	legacy := id.LegacyIssuer
	if legacy == "" {
		legacy = id.Issuer
	}
	if legacy != "" {
		list = append(list, pkix.Extension{Id: oid(1), Value: []byte(legacy)})
	}
	for _, last := range slices.Sorted(maps.Keys(id.GitHub)) {
		list = append(list, pkix.Extension{Id: oid(last), Value: []byte(id.GitHub[last])})
	}
	if id.Issuer != "" {
		der, err := asn1.MarshalWithParams(id.Issuer, "utf8")
		if err != nil {
			panic(err) // a Go string is UTF-8 in every test
		}
		list = append(list, pkix.Extension{Id: oid(8), Value: der})
	}
	return list
}

// logCertificate returns the extension with which the certificate transparency log promises to show
// the certificate, signed over the certificate without it (RFC 6962, 3.2).
func (a *Authority) logCertificate(certificate *x509.Certificate) (pkix.Extension, error) {
	sct := ct.SignedCertificateTimestamp{
		SCTVersion: ct.V1,
		LogID:      ct.LogID{KeyID: [32]byte(keyID(a.ct.Public()))},
		Timestamp:  uint64(certificate.NotBefore.UnixMilli()),
	}
	input, err := ct.SerializeSCTSignatureInput(sct, ct.LogEntry{Leaf: ct.MerkleTreeLeaf{
		Version:  ct.V1,
		LeafType: ct.TimestampedEntryLeafType,
		TimestampedEntry: &ct.TimestampedEntry{
			EntryType: ct.PrecertLogEntryType,
			Timestamp: sct.Timestamp,
			PrecertEntry: &ct.PreCert{
				IssuerKeyHash:  sha256.Sum256(a.intermediate.certificate.RawSubjectPublicKeyInfo),
				TBSCertificate: certificate.RawTBSCertificate,
			},
		},
	}})
	if err != nil {
		return pkix.Extension{}, err
	}
	signed, err := cttls.CreateSignature(*a.ct, cttls.SHA256, input)
	if err != nil {
		return pkix.Extension{}, err
	}
	sct.Signature = ct.DigitallySigned(signed)
	list, err := x509util.MarshalSCTsIntoSCTList([]*ct.SignedCertificateTimestamp{&sct})
	if err != nil {
		return pkix.Extension{}, err
	}
	encoded, err := cttls.Marshal(*list)
	if err != nil {
		return pkix.Extension{}, err
	}
	value, err := asn1.Marshal(encoded)
	return pkix.Extension{Id: asn1.ObjectIdentifier{1, 3, 6, 1, 4, 1, 11129, 2, 4, 2}, Value: value}, err
}
