package oci

import (
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"

	"policy-server/hostcalls"
	"policy-server/registry/evidence"
	"policy-server/registry/verify"
)

// request asks whether an image is signed as constraints demand, all of them.
type request struct {
	image       string
	constraints []verify.Constraint
	canonical   []string // of each constraint what it says; equal exactly when the constraints are
	certificate bool     // of the certificate variant, whose failures have their own words
	question    hostcalls.Question
}

// variant reads the fields of one kind of request.
type variant func(object, *request) error

// The kinds of requests by the names guests give them. Version 1 has the first two.
func variants() map[string]variant {
	return map[string]variant{
		"SigstorePubKeyVerify":        readPubKeys,
		"SigstoreKeylessVerify":       readKeyless,
		"SigstoreKeylessPrefixVerify": readKeylessPrefix,
		"SigstoreGithubActionsVerify": readGithubActions,
		"SigstoreCertificateVerify":   readCertificate,
	}
}

// decodeV1 reads a request of oci/v1/verify: an object with one key, which names the variant and
// holds its fields.
func decodeV1(payload []byte) (request, error) {
	tagged, err := decodeObject(payload)
	if err != nil {
		return request{}, fmt.Errorf("decode request: %w", err)
	}
	kinds := variants()
	maps.DeleteFunc(kinds, func(name string, _ variant) bool {
		return name != "SigstorePubKeyVerify" && name != "SigstoreKeylessVerify"
	})
	if len(tagged) != 1 {
		return request{}, fmt.Errorf("decode request: %d variants; want one of %s", len(tagged), listed(kinds))
	}
	name := slices.Collect(maps.Keys(tagged))[0]
	read, known := kinds[name]
	if !known {
		return request{}, unknownVariant(name, kinds)
	}
	var fields object
	if err := tagged.require(name, &fields); err != nil {
		return request{}, fmt.Errorf("decode request: %w", err)
	}
	return decodeFields(fields, name, read)
}

// decodeV2 reads a request of oci/v2/verify: an object whose "type" names the variant of the fields
// beside it.
func decodeV2(payload []byte) (request, error) {
	fields, err := decodeObject(payload)
	if err != nil {
		return request{}, fmt.Errorf("decode request: %w", err)
	}
	var name text
	if err := fields.require("type", &name); err != nil {
		return request{}, fmt.Errorf("decode request: %w", err)
	}
	kinds := variants()
	read, known := kinds[string(name)]
	if !known {
		return request{}, unknownVariant(string(name), kinds)
	}
	return decodeFields(fields, string(name), read)
}

func unknownVariant(name string, kinds map[string]variant) error {
	return fmt.Errorf("decode request: unknown variant %.100q; want one of %s", name, listed(kinds))
}

func listed(kinds map[string]variant) string { return fmt.Sprint(slices.Sorted(maps.Keys(kinds))) }

// decodeFields reads what all variants have, and then those of this one. The error is an
// *impossibleError when the request could be read and asks for what cannot be.
func decodeFields(fields object, name string, read variant) (request, error) {
	r := request{question: hostcalls.Question{Variant: name}}
	err := fields.require("image", (*text)(&r.image))
	if err == nil {
		err = read(fields, &r)
	}
	var impossible *impossibleError
	if err != nil && !errors.As(err, &impossible) {
		err = fmt.Errorf("decode request: %w", err)
	}
	return r, err
}

// annotations reads what the signed payload must hold; nil when nothing is asked for.
func (o object) annotations() (map[string]string, error) {
	var read map[string]text
	if err := o.accept("annotations", &read); err != nil || read == nil {
		return nil, err
	}
	annotations := make(map[string]string, len(read))
	for key, value := range read {
		annotations[key] = string(value)
	}
	return annotations, nil
}

// demand adds a constraint to r, which fields says in full.
func (r *request) demand(c verify.Constraint, fields ...any) error {
	canonical, err := json.Marshal(append([]any{fmt.Sprintf("%T", c)}, fields...))
	r.constraints, r.canonical = append(r.constraints, c), append(r.canonical, string(canonical))
	return err
}

// asks notes what the request says, for session files.
func (r *request) asks(fields ...hostcalls.Field) {
	r.question.Fields = append(hostcalls.Fields{{Name: "image", Value: r.image}}, fields...)
}

func annotated(annotations map[string]string) hostcalls.Field {
	return hostcalls.Field{Name: "annotations", Value: annotations}
}

func plain(texts []text) []string {
	all := make([]string, 0, len(texts))
	for _, t := range texts {
		all = append(all, string(t))
	}
	return all
}

// optional is t, or null where it is empty, which means the same.
func optional(t text) *string {
	if t == "" {
		return nil
	}
	return (*string)(&t)
}

func readPubKeys(fields object, r *request) error {
	var keys []text
	if err := fields.require("pub_keys", &keys); err != nil {
		return err
	}
	annotations, err := fields.annotations()
	if err != nil {
		return err
	}
	r.asks(hostcalls.Field{Name: "pub_keys", Value: plain(keys)}, annotated(annotations))
	if len(keys) == 0 {
		return impossible("Must provide at least one pub key")
	}
	for i, pem := range keys {
		key, err := evidence.ParsePublicKey([]byte(pem))
		if err != nil {
			// No signature can meet it, so nothing needs to be fetched to say so.
			return impossible("%spub_keys[%d]: %w", missingSignatures, i, err)
		}
		if err := r.demand(verify.PubKey{Key: key, Annotations: annotations}, pem, annotations); err != nil {
			return err
		}
	}
	return nil
}

func readKeyless(fields object, r *request) error {
	return readIdentities(fields, r, "keyless", "subject", func(subject string) (verify.Subject, error) {
		return verify.SubjectEqual(subject), nil
	})
}

func readKeylessPrefix(fields object, r *request) error {
	return readIdentities(fields, r, "keyless_prefix", "url_prefix", verify.SubjectURLPrefix)
}

// readIdentities reads the list under key, whose elements say an issuer and, under demand, what the
// subject must be.
func readIdentities(fields object, r *request, key, demand string, parse func(string) (verify.Subject, error)) error {
	var identities []object
	if err := fields.require(key, &identities); err != nil {
		return err
	}
	annotations, err := fields.annotations()
	if err != nil {
		return err
	}
	asked := []hostcalls.Fields{}
	defer func() { r.asks(hostcalls.Field{Name: key, Value: asked}, annotated(annotations)) }()
	if len(identities) == 0 {
		return impossible("Must provide keyless info")
	}
	for i, identity := range identities {
		var issuer, wanted text
		if err := errors.Join(identity.require("issuer", &issuer), identity.require(demand, &wanted)); err != nil {
			return fmt.Errorf("field `%s`: element %d: %w", key, i, err)
		}
		asked = append(asked, hostcalls.Fields{{Name: "issuer", Value: string(issuer)}, {Name: demand, Value: string(wanted)}})
		subject, err := parse(string(wanted))
		if err != nil {
			return impossible("%s[%d].%s: %w", key, i, demand, err)
		}
		c := verify.GenericIssuer{Issuer: string(issuer), Subject: subject, Annotations: annotations}
		if err := r.demand(c, issuer, demand, wanted, annotations); err != nil {
			return err
		}
	}
	return nil
}

func readGithubActions(fields object, r *request) error {
	var owner, repo text
	if err := errors.Join(fields.require("owner", &owner), fields.accept("repo", &repo)); err != nil {
		return err
	}
	annotations, err := fields.annotations()
	if err != nil {
		return err
	}
	r.asks(hostcalls.Field{Name: "owner", Value: string(owner)}, hostcalls.Field{Name: "repo", Value: optional(repo)}, annotated(annotations))
	if owner == "" {
		return impossible("Must provide owner info")
	}
	c := verify.GithubAction{Owner: string(owner), Repo: string(repo), Annotations: annotations}
	return r.demand(c, owner, repo, annotations)
}

func readCertificate(fields object, r *request) error {
	var leaf hostcalls.Bytes
	var chain []hostcalls.Bytes // nil: none is given
	var logged bool
	err := errors.Join(fields.require("certificate", &leaf), fields.accept("certificate_chain", &chain),
		fields.require("require_rekor_bundle", &logged))
	if err != nil {
		return err
	}
	annotations, err := fields.annotations()
	if err != nil {
		return err
	}
	r.asks(hostcalls.Field{Name: "certificate", Value: leaf}, hostcalls.Field{Name: "certificate_chain", Value: chain},
		hostcalls.Field{Name: "require_rekor_bundle", Value: logged}, annotated(annotations))
	c := verify.Certificate{AllowUnlogged: !logged, Annotations: annotations}
	if c.Leaf, err = verify.ParseCertificates(leaf); err != nil {
		return impossible("certificate: %w", err)
	}
	if chain != nil {
		// A chain without certificates trusts none, while no chain at all trusts the certificate as
		// it is.
		if c.Chain, err = parseChain(chain); err != nil {
			return err
		}
	}
	r.certificate = true
	return r.demand(c, leaf, chain, logged, annotations)
}

// parseChain reads certificates that are each a text of their own.
func parseChain(chain []hostcalls.Bytes) (verify.CertificateFile, error) {
	var all []byte
	for i, issuer := range chain {
		if _, err := verify.ParseCertificates(issuer); err != nil {
			return verify.CertificateFile{}, impossible("certificate_chain[%d]: %w", i, err)
		}
		all = append(append(all, issuer...), '\n')
	}
	parsed, err := verify.ParseCertificates(all)
	if err != nil {
		return verify.CertificateFile{}, impossible("certificate_chain: %w", err)
	}
	return parsed, nil
}
