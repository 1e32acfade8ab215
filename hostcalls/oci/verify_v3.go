package oci

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/google/go-containerregistry/pkg/name"

	"policy-server/hostcalls"
	"policy-server/registry/evidence"
	"policy-server/registry/verify"
)

// V3 answers oci/v3/verify: by whom an image was signed, and what was attested about it.
// docs/oci-v3-verify.md has the whole of it.
//
//	request:  {"image": string,
//	           "signatures": {"required": number?, "anyOf": [constraint, …]}?,
//	           "attestations": [{"predicateType": string, "required": number?, "anyOf": [constraint, …]}, …]?}
//	response: {"is_trusted": true, "digest": string, "signatures": [signer, …],
//	           "attestations": [{"demand": number, "predicateType": string, "predicate": any, "signers": [signer, …]}, …]}
//
// What is not verified is an error, never an answer. Blocks its evaluation until ctx is done at
// most.
func (v *ImageVerifier) V3(payload []byte) (hostcalls.Request, error) {
	r, err := decodeV3(payload)
	return performable(r.question, err, func(ctx context.Context) ([]byte, error) { return v.answerV3(ctx, r) })
}

func (v *ImageVerifier) answerV3(ctx context.Context, r requestV3) ([]byte, error) {
	inForce := v.trust.Load()
	return v.ask(ctx, verification{
		image:       r.image,
		constraints: sha256.Sum256([]byte(r.identity)),
		generation:  inForce.generation,
		check: func(ctx context.Context, d name.Digest) ([]byte, error) {
			found, err := r.demands.Verify(ctx, d, verify.Options{Remote: v.client.RemoteOptions, Trust: inForce.source})
			if err != nil {
				return nil, err
			}
			return encodeV3(d, found)
		},
		failed: failedV3,
	})
}

// failedV3 says why image does not meet the demands, with all reasons.
func failedV3(image string, err error) error {
	var unattested *verify.UnattestedError
	var unverified *verify.UnverifiedError
	if !errors.As(err, &unattested) && errors.As(err, &unverified) && unverified.Found == 0 {
		return unsigned(image)
	}
	return err
}

// requestV3 is a request of version 3.
type requestV3 struct {
	image    string
	demands  verify.Demands
	identity string // of the demands
	question hostcalls.Question
}

// decodeV3 reads a request. The error is an *impossibleError that lists every fault, one a line,
// unless payload is no JSON object.
func decodeV3(payload []byte) (requestV3, error) {
	fields, err := decodeObject(payload)
	if err != nil {
		return requestV3{}, fmt.Errorf("decode request: %w", err)
	}
	known := []string{"image", "signatures", "attestations"}
	var faults []error
	for _, key := range slices.Sorted(maps.Keys(fields)) {
		if !slices.Contains(known, key) {
			faults = append(faults, fmt.Errorf("%.100q: unknown field; known: %s", key, strings.Join(known, ", ")))
		}
	}
	var r requestV3
	if err := fields.require("image", (*text)(&r.image)); err != nil {
		faults = append(faults, err)
	}
	if r.demands, err = verify.ParseDemands(fields["signatures"], fields["attestations"]); err != nil {
		faults = append(faults, err)
	}
	if err := errors.Join(faults...); err != nil {
		r.question = questionV3(r.image, string(payload))
		return r, impossible("invalid request: %w", err)
	}
	r.identity, err = identityOf(fields["signatures"], fields["attestations"])
	r.question = questionV3(r.image, r.identity)
	return r, err
}

// questionV3 is what a session file says of a request: demands is the list of signatures and
// attestations as JSON, or the whole payload when that asks for what cannot be.
func questionV3(image, demands string) hostcalls.Question {
	return hostcalls.Question{Variant: "OciVerifyV3", Fields: hostcalls.Fields{
		{Name: "image", Value: image}, {Name: "demands", Value: demands},
	}}
}

// identityOf is the same for demands that differ only in how their JSON is written: a JSON list of
// them.
func identityOf(demands ...json.RawMessage) (string, error) {
	documents := make([]any, len(demands))
	for i, demand := range demands {
		if demand == nil {
			continue
		}
		decoder := json.NewDecoder(bytes.NewReader(demand))
		decoder.UseNumber()
		if err := decoder.Decode(&documents[i]); err != nil {
			return "", err
		}
	}
	canonical, err := json.Marshal(documents)
	return string(canonical), err
}

// answerV3 is the response of version 3.
type answerV3 struct {
	IsTrusted    bool            `json:"is_trusted"`
	Digest       string          `json:"digest"`
	Signatures   []signerV3      `json:"signatures"`
	Attestations []attestationV3 `json:"attestations"`
}

type attestationV3 struct {
	Demand        int             `json:"demand"`
	PredicateType string          `json:"predicateType"`
	Predicate     json.RawMessage `json:"predicate"`
	Signers       []signerV3      `json:"signers"`
}

type signerV3 struct {
	Constraint  int               `json:"constraint"`
	Layout      evidence.Layout   `json:"layout"`
	Key         string            `json:"key,omitempty"`
	Issuer      string            `json:"issuer,omitempty"`
	Subject     string            `json:"subject,omitempty"`
	GitHub      *gitHubV3         `json:"github,omitempty"`
	Annotations map[string]string `json:"annotations"`
	LogIndex    *int64            `json:"logIndex,omitempty"`
	SignedAt    string            `json:"signedAt,omitempty"`
}

type gitHubV3 struct {
	Repository string `json:"repository"`
	Ref        string `json:"ref"`
	SHA        string `json:"sha"`
	Trigger    string `json:"trigger"`
	Workflow   string `json:"workflow"`
}

// encodeV3 writes what was found. Predicates stay as they were signed, but for white space.
func encodeV3(d name.Digest, found verify.Findings) ([]byte, error) {
	answer := answerV3{
		IsTrusted: true, Digest: d.DigestStr(), Signatures: signersV3(found.Signers), Attestations: []attestationV3{},
	}
	for i, attested := range found.Attestations {
		for _, a := range attested {
			answer.Attestations = append(answer.Attestations, attestationV3{
				Demand: i, PredicateType: a.PredicateType, Predicate: a.Predicate, Signers: signersV3(a.Signers),
			})
		}
	}
	var encoded bytes.Buffer
	encoder := json.NewEncoder(&encoded)
	encoder.SetEscapeHTML(false)
	err := encoder.Encode(answer)
	return bytes.TrimSuffix(encoded.Bytes(), []byte("\n")), err
}

func signersV3(found []verify.Signer) []signerV3 {
	signers := []signerV3{}
	for _, s := range found {
		signer := signerV3{Constraint: s.Constraint, Layout: s.Layout, Key: s.Key, Annotations: s.Annotations}
		if s.Identity != nil {
			signer.Issuer, signer.Subject = s.Identity.Issuer, s.Identity.Subject
			if run := s.Identity.GitHub; run != (evidence.GitHubWorkflow{}) {
				signer.GitHub = &gitHubV3{run.Repository, run.Ref, run.SHA, run.Trigger, run.Name}
			}
		}
		if signer.Annotations == nil {
			signer.Annotations = map[string]string{}
		}
		if s.Log != nil {
			signer.LogIndex = &s.Log.Index
		}
		if !s.Time.IsZero() {
			signer.SignedAt = s.Time.UTC().Format(time.RFC3339)
		}
		signers = append(signers, signer)
	}
	return signers
}
