package oci

import (
	"context"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"github.com/google/go-containerregistry/pkg/name"
	"go.uber.org/zap"

	"policy-server/flight"
	"policy-server/hostcalls"
	"policy-server/registry"
	"policy-server/registry/trust"
	"policy-server/registry/verify"
)

// CacheConfig says what an ImageVerifier remembers, and for how long. The zero value remembers
// nothing. Requests that are under way are shared in any case, and no failure to reach a registry
// is ever remembered.
type CacheConfig struct {
	Lifetime        time.Duration // of successes: an image's digest that met the constraints it was held against
	RefusedLifetime time.Duration // of refusals: it was found out that it does not meet them
	DigestLifetime  time.Duration // of what a tag means; a tag that is moved is seen this much later
	Bytes           int64         // of successes, and as many of refusals
}

const (
	// A flight ends after this time, also when evaluations wait for it. It is for registries that
	// answer, but slower than evaluations may take; and the next evaluation must not wait forever
	// on a connection that is dead.
	flightTime = 30 * time.Second

	// How many flights may go on although nobody waits for them: enough for the images of some
	// pods, and few enough connections and signatures of megabytes to be forgotten about.
	maxAbandoned = 16

	// What an entry takes beyond its value: key, list element and its place in the map, rounded up.
	entryCost = 512

	// Resolved references are small and need no setting: what a cluster runs in a minute.
	digestCacheBytes = 8 << 20
)

// ImageVerifier answers oci/v1/verify, oci/v2/verify and oci/v3/verify: are images signed, and by
// whom? All policies share its answers. Goroutines may share it; close it when no more calls are
// made.
type ImageVerifier struct {
	client  *registry.Client
	log     *zap.Logger
	trust   atomic.Pointer[trustInForce]
	digests *flight.Memo[string, name.Digest]
	answers *flight.Memo[question, []byte]
}

// trustInForce is where the trust root comes from. Answers given under one do not serve under the
// next.
type trustInForce struct {
	source     trust.Source
	generation uint64
}

// question is what an answer depends on. Constraints are part of it as a whole, so that no answer
// serves another.
type question struct {
	image       string // digest and repository, since the signatures are there
	constraints [sha256.Size]byte
	trust       uint64 // the generation of the trust root
}

// NewImageVerifier returns a verifier that reaches registries through client, and holds keyless
// signatures against the trust root of source.
func NewImageVerifier(
	client *registry.Client, source trust.Source, cfg CacheConfig, log *zap.Logger,
) *ImageVerifier {
	panicked := func(cause any, stack []byte) error {
		log.Error("image verification panicked", zap.Any("cause", cause), zap.ByteString("stack", stack))
		return fmt.Errorf("internal error: %v", cause)
	}
	v := &ImageVerifier{
		client: client,
		log:    log,
		digests: flight.NewMemo(flight.MemoConfig[string, name.Digest]{
			Lifetime:     cfg.DigestLifetime,
			Cost:         func(_ string, d name.Digest) int { return entryCost + 2*len(d.Name()) },
			Limit:        digestCacheBytes,
			MaxAbandoned: maxAbandoned,
			FlightTime:   flightTime,
			Panicked:     panicked,
		}),
		answers: flight.NewMemo(flight.MemoConfig[question, []byte]{
			Lifetime:        cfg.Lifetime,
			RefusedLifetime: cfg.RefusedLifetime,
			IsAnswer:        isRefusal,
			Cost:            func(_ question, answer []byte) int { return entryCost + len(answer) },
			Limit:           cfg.Bytes,
			MaxAbandoned:    maxAbandoned,
			FlightTime:      flightTime,
			Panicked:        panicked,
		}),
	}
	v.trust.Store(&trustInForce{source: source})
	return v
}

func isRefusal(err error) bool {
	var refusal *verify.UnverifiedError
	return errors.As(err, &refusal)
}

// SetTrust makes source the source of the trust root. What was verified under another one is
// verified again.
func (v *ImageVerifier) SetTrust(source trust.Source) {
	for {
		old := v.trust.Load()
		if v.trust.CompareAndSwap(old, &trustInForce{source, old.generation + 1}) {
			return
		}
	}
}

// Close ends what is still under way and waits for it.
func (v *ImageVerifier) Close() {
	v.digests.Close()
	v.answers.Close()
}

// Capabilities returns what answers the capabilities that verify images.
func (v *ImageVerifier) Capabilities() []hostcalls.Capability {
	return []hostcalls.Capability{
		{Path: hostcalls.OCIVerifyV1, Understand: v.V1},
		{Path: hostcalls.OCIVerifyV2, Understand: v.V2},
		{Path: hostcalls.OCIVerifyV3, Understand: v.V3},
	}
}

// V1 answers oci/v1/verify. The request has one key, the variant:
//
//	request:  {"SigstorePubKeyVerify": {"image": string, "pub_keys": [PEM, …], "annotations": {string: string}?}}
//	          {"SigstoreKeylessVerify": {"image": string, "keyless": [{"issuer": string, "subject": string}, …],
//	           "annotations": {string: string}?}}
//	response: {"is_trusted": true, "digest": "sha256:8910…"}
//
// Every key or identity must have signed. The digest is that of what image means: of the index for
// a multi-platform image. What is not verified is an error, never an answer. Blocks its evaluation
// until ctx is done at most.
func (v *ImageVerifier) V1(payload []byte) (hostcalls.Request, error) {
	r, err := decodeV1(payload)
	return v.request(r, err)
}

// V2 answers oci/v2/verify, as V1 does. The variant is named by "type", beside its fields and
// "image" and "annotations":
//
//	{"type": "SigstorePubKeyVerify", "pub_keys": [PEM, …]}
//	{"type": "SigstoreKeylessVerify", "keyless": [{"issuer": string, "subject": string}, …]}
//	{"type": "SigstoreKeylessPrefixVerify", "keyless_prefix": [{"issuer": string, "url_prefix": string}, …]}
//	{"type": "SigstoreGithubActionsVerify", "owner": string, "repo": string?}
//	{"type": "SigstoreCertificateVerify", "certificate": bytes of PEM, "certificate_chain": [bytes of PEM, …]?,
//	 "require_rekor_bundle": bool}
//
// Bytes are arrays of numbers.
func (v *ImageVerifier) V2(payload []byte) (hostcalls.Request, error) {
	r, err := decodeV2(payload)
	return v.request(r, err)
}

// request makes a host call of r, as it was decoded.
func (v *ImageVerifier) request(r request, err error) (hostcalls.Request, error) {
	return performable(r.question, err, func(ctx context.Context) ([]byte, error) { return v.answer(ctx, r) })
}

// performable makes a host call of a decoded request. One that was understood and asks for what
// cannot be fails when it is performed.
func performable(
	asked hostcalls.Question, err error, perform func(context.Context) ([]byte, error),
) (hostcalls.Request, error) {
	var impossible *impossibleError
	if errors.As(err, &impossible) {
		perform = func(context.Context) ([]byte, error) { return nil, err }
	} else if err != nil {
		return hostcalls.Request{}, err
	}
	return hostcalls.Request{Question: asked, Perform: perform}, nil
}

// impossibleError is why a request that was understood cannot be answered.
type impossibleError struct{ err error }

func (e *impossibleError) Error() string { return e.err.Error() }
func (e *impossibleError) Unwrap() error { return e.err }

func impossible(format string, args ...any) error {
	return &impossibleError{fmt.Errorf(format, args...)}
}

// answer verifies that r's image meets all of r's constraints.
func (v *ImageVerifier) answer(ctx context.Context, r request) ([]byte, error) {
	inForce := v.trust.Load()
	verifier, err := verify.New(verify.Config{AllOf: r.constraints}, verify.Options{
		Remote: v.client.RemoteOptions, Trust: inForce.source,
	})
	if err != nil {
		return nil, unaskable(err)
	}
	return v.ask(ctx, verification{
		image:       r.image,
		constraints: r.identity(),
		generation:  inForce.generation,
		check: func(ctx context.Context, d name.Digest) ([]byte, error) {
			if _, err := verifier.Verify(ctx, d); err != nil {
				return nil, err
			}
			return json.Marshal(struct {
				IsTrusted bool   `json:"is_trusted"`
				Digest    string `json:"digest"`
			}{true, d.DigestStr()})
		},
		failed: r.failed,
	})
}

// identity is what distinguishes r's set of constraints from others. Their order and repetitions do
// not.
func (r request) identity() [sha256.Size]byte {
	set := slices.Compact(slices.Sorted(slices.Values(r.canonical)))
	return sha256.Sum256([]byte("all of\n" + strings.Join(set, "\n"))) // JSON holds no newlines
}

// verification is a request ready to be answered, in whatever version it came.
type verification struct {
	image       string
	constraints [sha256.Size]byte
	generation  uint64
	check       func(context.Context, name.Digest) ([]byte, error) // returns the answer; does all the work
	failed      func(image string, err error) error                // words check's error for guests
}

// ask answers in from what is known, or has it found out.
func (v *ImageVerifier) ask(ctx context.Context, in verification) ([]byte, error) {
	image, err := parseReference(in.image)
	if err != nil {
		return nil, err
	}
	digest, err := v.digests.Do(ctx, image.resolved, func(ctx context.Context) (name.Digest, error) {
		return v.client.Digest(ctx, image.Reference)
	})
	if err != nil {
		return nil, fmt.Errorf("failed to get image trusted layers: Cannot fetch manifest of %s: %w", image.resolved, err)
	}
	asked := question{image: digest.Name(), constraints: in.constraints, trust: in.generation}
	answer, err := v.answers.Do(ctx, asked, func(ctx context.Context) ([]byte, error) {
		answer, err := in.check(ctx, digest)
		v.logOutcome(image.resolved, digest, err)
		return answer, err
	})
	switch {
	case err == nil:
		return answer, nil
	case isRefusal(err):
		return nil, in.failed(image.resolved, err)
	}
	return nil, unread(digest, err)
}
