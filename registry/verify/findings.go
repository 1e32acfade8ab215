package verify

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"slices"

	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"

	"policy-server/document"
	"policy-server/registry/evidence"
)

// Findings are what was found out about an image that meets Demands.
type Findings struct {
	Signers      []Signer        // of the image, in the order of the constraints; nil when not asked
	Attestations [][]Attestation // for each demand, in the order found
}

// Signer is who made a signature that meets a constraint. Of several signatures by one signer it is
// the first.
type Signer struct {
	Constraint int // index of the first constraint that the signer meets
	evidence.Signature
}

// Attestation is a statement about an image, with everybody who made it in these very bytes.
type Attestation struct {
	PredicateType string
	Predicate     json.RawMessage // as it was signed; null when there is none
	Signers       []Signer        // in the order of the constraints
}

// Verify looks for what d demands about image beside it in its registry, and evaluates it. The
// error is
//
//   - an *UnverifiedError when the signatures found do not suffice, also when there are none;
//   - an *UnattestedError when the attestations found do not;
//   - a *TrustRootError when a constraint needs a trust root and there is none;
//   - a *LookupError when something could not be read, or exceeds the limits, and signatures that
//     could do not suffice. Attestations must all be read.
//
// Verify blocks as Verifier.Check does.
func (d Demands) Verify(ctx context.Context, image name.Digest, options Options) (Findings, error) {
	if d.Signatures == nil && len(d.Attestations) == 0 {
		return Findings{}, errNothingAsked
	}
	digest, err := v1.NewHash(image.DigestStr())
	if err != nil {
		return Findings{}, &LookupError{Digest: image, Err: err}
	}
	root, err := d.need().root(ctx, options.Trust)
	if err != nil {
		return Findings{}, err
	}
	e := evaluation{Inspection: evidence.Inspection{Digest: digest, Trust: root}, ctx: ctx, all: true}
	var findings Findings
	if d.Signatures != nil {
		if findings.Signers, err = e.signers(image, *d.Signatures, options); err != nil {
			return Findings{}, err
		}
	}
	if len(d.Attestations) > 0 {
		if findings.Attestations, err = e.attestations(image, d.Attestations, options); err != nil {
			return Findings{}, err
		}
	}
	return findings, nil
}

// signers returns who signed the image.
func (e evaluation) signers(image name.Digest, by AnyOf, options Options) ([]Signer, error) {
	found := evidence.Discover(e.ctx, image, options.Remote, func(found []evidence.Candidate) bool {
		partial := e
		partial.found = found
		_, unverified := partial.count("signatures.anyOf", by)
		return unverified == nil
	})
	e.found = found.Candidates()
	counted, unverified := e.count("signatures.anyOf", by)
	switch {
	case unverified == nil:
		return distinct(counted), nil
	case found.Err() != nil && len(e.found) == 0:
		return nil, &LookupError{Digest: image, Err: found.Err()}
	}
	unverified.Digest, unverified.Odd = image, found.Odd()
	if found.Err() != nil {
		return nil, &LookupError{Digest: image, Err: found.Err(), Rest: unverified}
	}
	return nil, unverified
}

// attestations returns for each demand what was attested.
func (e evaluation) attestations(image name.Digest, demands []AttestationDemand, options Options) ([][]Attestation, error) {
	var types []string
	for _, demand := range demands {
		types = append(types, demand.PredicateType)
	}
	all, err := evidence.Attestations(e.ctx, image, types, options.Remote(e.ctx))
	if err != nil {
		return nil, &LookupError{Digest: image, Err: err}
	}
	attested := make([][]Attestation, len(demands))
	for i, demand := range demands {
		e.found = ofType(all, demand.PredicateType)
		counted, unverified := e.count(document.Element("attestations", i)+".anyOf", demand.By)
		if unverified != nil {
			unverified.Digest = image
			return nil, &UnattestedError{PredicateType: demand.PredicateType, Rest: unverified}
		}
		if attested[i], err = e.statements(counted); err != nil {
			return nil, &LookupError{Digest: image, Err: err}
		}
	}
	return attested, nil
}

// ofType returns the attestations of a predicate type, and what is damaged and might be one.
func ofType(all []evidence.Candidate, predicateType string) []evidence.Candidate {
	var found []evidence.Candidate
	for _, c := range all {
		if c.Unusable() != nil || c.PredicateType() == predicateType {
			found = append(found, c)
		}
	}
	return found
}

// count returns every signature that meets a constraint, by constraint, unless there are too few
// signers.
func (e evaluation) count(path string, by AnyOf) ([]Signer, *UnverifiedError) {
	var counted []Signer
	var unmet []Unmet
	for i, c := range by.Signatures {
		met, rejections := e.one(c)
		for _, signature := range met {
			counted = append(counted, Signer{Constraint: i, Signature: signature})
		}
		if len(met) == 0 {
			unmet = append(unmet, Unmet{Path: document.Element(path, i), Constraint: c, Rejections: rejections})
		}
	}
	needed := max(by.MinimumMatches, 1) // also when code left it out: nothing is met by everything
	if got := len(distinct(counted)); got < needed {
		return nil, &UnverifiedError{Found: len(e.found), Unmet: unmet, Needed: needed, Got: got, Signers: true}
	}
	return counted, nil
}

// distinct returns the first of each signer.
func distinct(counted []Signer) []Signer {
	var first []Signer
	seen := map[string]bool{}
	for _, s := range counted {
		if who := s.Signer(); !seen[who] {
			seen[who] = true
			first = append(first, s)
		}
	}
	return first
}

// statements returns the statements behind the signatures that counted, in the order in which they
// were found.
func (e evaluation) statements(counted []Signer) ([]Attestation, error) {
	var statements []Attestation
	var payloads [][]byte // of the same index
	for _, c := range e.found {
		var signers []Signer
		for _, s := range counted {
			if s.Place == c.Place() {
				signers = append(signers, s)
			}
		}
		if len(signers) == 0 {
			continue
		}
		payload, err := c.Statement()
		if err != nil {
			return nil, err
		}
		at := 0
		for at < len(payloads) && !bytes.Equal(payloads[at], payload) {
			at++
		}
		if at == len(payloads) {
			statement, err := parseStatement(payload)
			if err != nil {
				return nil, err
			}
			payloads, statements = append(payloads, payload), append(statements, statement)
		}
		statements[at].Signers = append(statements[at].Signers, signers...)
	}
	for i := range statements {
		slices.SortStableFunc(statements[i].Signers, func(a, b Signer) int { return a.Constraint - b.Constraint })
		statements[i].Signers = distinct(statements[i].Signers)
	}
	return statements, nil
}

func parseStatement(payload []byte) (Attestation, error) {
	var statement struct {
		PredicateType string          `json:"predicateType"`
		Predicate     json.RawMessage `json:"predicate"`
	}
	if err := json.Unmarshal(payload, &statement); err != nil {
		return Attestation{}, fmt.Errorf("statement: %w", err)
	}
	if statement.Predicate == nil {
		statement.Predicate = json.RawMessage("null")
	}
	return Attestation{PredicateType: statement.PredicateType, Predicate: statement.Predicate}, nil
}

// UnattestedError reports an image without the attestations that were demanded: it was found out,
// and the answer is no.
type UnattestedError struct {
	PredicateType string
	Rest          *UnverifiedError // what is missing, and why what was found does not count
}

func (e *UnattestedError) Error() string {
	return failedPrefix + "attestation " + e.PredicateType + ": " + e.Rest.describe("attestations")
}

// Unwrap returns Rest.
func (e *UnattestedError) Unwrap() error { return e.Rest }
