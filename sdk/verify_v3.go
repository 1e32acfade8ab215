package sdk

import "strconv"

// ImageDemands are what is asked about an image. At least one of Signatures and Attestations must
// ask for something.
type ImageDemands struct {
	Image        string // as users write it
	Signatures   SignerDemand
	Attestations []AttestationDemand
}

// SignerDemand says which signers count, and how many of them are needed. The zero value asks for
// nothing.
type SignerDemand struct {
	Required int // distinct signers; 0 means 1
	AnyOf    []SignerConstraint
}

// AttestationDemand asks for attestations, statements about the image, of one predicate type, such
// as "https://slsa.dev/provenance/v1".
type AttestationDemand struct {
	PredicateType string
	By            SignerDemand
}

// SignerConstraint describes signers; see SignedByKey and its siblings. The zero value is refused
// by the host.
type SignerConstraint struct{ members []byte }

// SignedByKey describes who has the private half of a key, PEM.
func SignedByKey(key string) SignerConstraint {
	return SignerConstraint{appendMember(appendKind("pubKey"), "key", key)}
}

// SignedByIdentity describes an identity exactly.
func SignedByIdentity(id KeylessInfo) SignerConstraint {
	return identity(id.Issuer, "equal", id.Subject)
}

// SignedByPrefix describes the identities below a URL.
func SignedByPrefix(id KeylessPrefixInfo) SignerConstraint {
	return identity(id.Issuer, "urlPrefix", id.URLPrefix)
}

// SignedByMatch describes identities of an issuer by a regular expression (RE2) that their subject
// matches as a whole.
func SignedByMatch(issuer, expression string) SignerConstraint {
	return identity(issuer, "regex", expression)
}

func identity(issuer, demand, value string) SignerConstraint {
	text := append(appendMember(appendKind("genericIssuer"), "issuer", issuer), `,"subject":{`...)
	return SignerConstraint{append(appendMember(text, demand, value), '}')}
}

// SignedByGithubAction describes workflows of GitHub Actions that ran in a repository of owner: in
// repo, or in any when that is "".
func SignedByGithubAction(owner, repo string) SignerConstraint {
	text := appendMember(appendKind("githubAction"), "owner", owner)
	if repo != "" {
		text = appendMember(append(text, ','), "repo", repo)
	}
	return SignerConstraint{text}
}

// SignedByCertificate describes who has the key of a certificate. An empty chain is none.
func SignedByCertificate(certificate CertificateInfo) SignerConstraint {
	text := appendMember(appendKind("certificate"), "certificate", string(certificate.Certificate))
	if len(certificate.Chain) > 0 {
		var chain []byte
		for _, issuer := range certificate.Chain {
			chain = append(append(chain, issuer...), '\n')
		}
		text = appendMember(append(text, ','), "certificateChain", string(chain))
	}
	return SignerConstraint{strconv.AppendBool(append(text, `,"requireRekorBundle":`...), certificate.RequireRekorBundle)}
}

// WithAnnotations returns a constraint for signatures that also carry annotations.
func (c SignerConstraint) WithAnnotations(annotations map[string]string) SignerConstraint {
	text := append(append([]byte(nil), c.members...), `,"annotations":`...)
	return SignerConstraint{appendAnnotations(text, annotations)}
}

func appendKind(kind string) []byte { return append(appendMember(nil, "kind", kind), ',') }

// ImageFindings are what the host found out about an image that meets its demands.
type ImageFindings struct {
	Digest       string   // what the image means now: of the index, for a multi-platform image
	Signatures   []Signer // each signer once
	Attestations []Attestation
}

// Attestation is a statement about an image, with those who made it.
type Attestation struct {
	Demand        int // index of the AttestationDemand that it answers
	PredicateType string
	Predicate     Value // what is stated, as it was signed
	Signers       []Signer
}

// Signer is who made a signature. Strings are empty where they do not apply.
type Signer struct {
	Constraint  int               // index of the first SignerConstraint that the signer meets
	Layout      string            // "legacy" or "bundle"
	Key         string            // fingerprint; for keys and certificates
	Issuer      string            // for identities, as is Subject
	Subject     string            // an e-mail address or a URI
	GitHub      Value             // repository, ref, sha, trigger and workflow; missing for others
	Annotations map[string]string // signed along
	SignedAt    string            // the time by which the signature existed, RFC 3339
}

// VerifyImage makes sure that an image is signed, and attested to, by as many signers as are
// demanded, and returns who they are and what they attested. What is not met is a *HostError, as is
// a failure to find out. It is not a capability of Kubewarden's hosts.
//
//	oci/v3/verify   request: {"image":…,"signatures":{"required":…,"anyOf":[…]},"attestations":[{"predicateType":…, …}]}
//	                answer:  {"is_trusted":true,"digest":…,"signatures":[…],"attestations":[…]}
func VerifyImage(demands ImageDemands) (ImageFindings, error) {
	request := appendMember([]byte{'{'}, "image", demands.Image)
	if demands.Signatures.AnyOf != nil {
		request = append(demands.Signatures.appendTo(append(request, `,"signatures":{`...)), '}')
	}
	if len(demands.Attestations) > 0 {
		request = appendArray(append(request, `,"attestations":`...), demands.Attestations, appendAttestationDemand)
	}
	answer, err := HostCall("oci", "v3/verify", Value{string(append(request, '}'))})
	if err != nil {
		return ImageFindings{}, err
	}
	digest, err := trustedDigest("v3/verify", answer)
	if err != nil {
		return ImageFindings{}, err
	}
	found := ImageFindings{Digest: digest, Signatures: readSigners(answer.Get("signatures"))}
	for a := range answer.Get("attestations").Each() {
		found.Attestations = append(found.Attestations, Attestation{
			Demand: number(a, "demand"), PredicateType: member(a, "predicateType"), Predicate: a.Get("predicate"),
			Signers: readSigners(a.Get("signers")),
		})
	}
	return found, nil
}

func appendAttestationDemand(text []byte, d AttestationDemand) []byte {
	text = append(appendMember(append(text, '{'), "predicateType", d.PredicateType), ',')
	return append(d.By.appendTo(text), '}')
}

func (d SignerDemand) appendTo(text []byte) []byte {
	if d.Required != 0 {
		text = append(strconv.AppendInt(append(text, `"required":`...), int64(d.Required), 10), ',')
	}
	return appendArray(append(text, `"anyOf":`...), d.AnyOf, func(text []byte, c SignerConstraint) []byte {
		return append(append(append(text, '{'), c.members...), '}')
	})
}

func readSigners(list Value) []Signer {
	var signers []Signer
	for s := range list.Each() {
		signer := Signer{
			Constraint: number(s, "constraint"), Layout: member(s, "layout"), Key: member(s, "key"),
			Issuer: member(s, "issuer"), Subject: member(s, "subject"), GitHub: s.Get("github"),
			SignedAt: member(s, "signedAt"),
		}
		for name, value := range s.Get("annotations").Fields() {
			if text, ok := value.Text(); ok {
				if signer.Annotations == nil {
					signer.Annotations = map[string]string{}
				}
				signer.Annotations[name] = text
			}
		}
		signers = append(signers, signer)
	}
	return signers
}

// member returns the text under name; empty when there is none.
func member(object Value, name string) string {
	text, _ := object.Get(name).Text()
	return text
}

func number(object Value, name string) int {
	n, _ := object.Get(name).Int()
	return int(n)
}
