package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	v1 "github.com/google/go-containerregistry/pkg/v1"

	"policy-server/registry"
	"policy-server/registry/evidence"
	"policy-server/registry/verify"
)

// signatures is what lies beside a policy in its registry, as it is: nothing of it is verified.
type signatures []evidence.Found

// findSignatures returns what it could find, also with an error.
func findSignatures(ctx context.Context, client *registry.Client, uri string) (signatures, error) {
	ref, err := registry.ParseReference(uri)
	if err != nil {
		return nil, err
	}
	if ref.Scheme() != registry.SchemeRegistry {
		return nil, errors.New("invalid uri")
	}
	digest, err := client.Digest(ctx, ref)
	if err != nil {
		return nil, err
	}
	return verify.List(ctx, digest, client.RemoteOptions(ctx))
}

// missing says in one line why there are no signatures, or not all of them; "" when they are all
// there.
func (s signatures) missing(err error) string {
	switch {
	case err != nil:
		return fmt.Sprintf("Cannot determine if the policy has been signed. There was an error while attempting to fetch its signatures from the remote registry: %v ", err)
	case len(s) == 0:
		return "No sigstore signatures found"
	}
	return ""
}

// print prints the signatures for people, and why there are none or not all.
func (s signatures) print(w io.Writer, err error) error {
	var out strings.Builder
	if len(s) > 0 {
		out.WriteString("\nSigstore signatures\n")
	}
	for _, found := range s {
		out.WriteString("\n")
		writeRows(&out, signatureRows(found))
	}
	if len(s) > 0 {
		out.WriteString("\n")
	}
	if reason := s.missing(err); reason != "" {
		out.WriteString("\n" + reason + "\n")
	}
	_, err = io.WriteString(w, printable(out.String()))
	return err
}

func signatureRows(found evidence.Found) []detail {
	rows := []detail{
		{"Digest: ", found.Descriptor.Digest.String()},
		{"Media type: ", string(found.Descriptor.MediaType)},
		{"Size: ", strconv.FormatInt(found.Descriptor.Size, 10)},
		{key: "Says, not verified"},
	}
	rows = append(rows, claimRows(found)...)
	annotations := map[string]string{}
	maps.Copy(annotations, found.Manifest.Annotations) // where bundles have theirs
	maps.Copy(annotations, found.Descriptor.Annotations)
	if len(annotations) > 0 {
		rows = append(rows, detail{key: "Annotations"})
	}
	for _, key := range slices.Sorted(maps.Keys(annotations)) {
		rows = append(rows, detail{key, annotations[key]})
	}
	return rows
}

// claimRows tells what a signature says about itself.
func claimRows(found evidence.Found) []detail {
	var rows []detail
	add := func(key, value string) {
		if value != "" {
			rows = append(rows, detail{key, value})
		}
	}
	switch id := found.Keyless; {
	case id != nil:
		add("Subject: ", id.Subject)
		add("Issuer: ", id.Issuer)
		add("GitHub repository: ", id.GitHub.Repository)
		add("GitHub ref: ", id.GitHub.Ref)
		add("GitHub workflow: ", id.GitHub.Name)
		add("GitHub trigger: ", id.GitHub.Trigger)
		add("GitHub commit: ", id.GitHub.SHA)
	case found.Unusable == nil:
		add("Signed by: ", "a key")
	}
	if log := found.Log; log != nil {
		add("Log index: ", strconv.FormatInt(log.Index, 10))
		add("Log ID: ", log.ID)
		add("Logged at: ", timeText(log.Time))
	}
	for _, key := range slices.Sorted(maps.Keys(found.Annotations)) {
		add("Signed annotation: ", key+"="+found.Annotations[key])
	}
	if found.Unusable != nil {
		add("Cannot count: ", found.Unusable.Error())
	}
	return rows
}

// timeText writes a time in UTC; "" for one that is not known.
func timeText(t time.Time) string {
	if t.IsZero() {
		return ""
	}
	return t.UTC().Format(time.RFC3339)
}

// signaturesDocument is what printYAML prints below the metadata: the manifests as they lie in the
// registry, and what the signatures in them say.
type signaturesDocument struct {
	Legacy     *v1.Manifest   `json:"signatures,omitempty"` // under the tag sha256-….sig
	Bundles    []*v1.Manifest `json:"bundles,omitempty"`    // that refer to the policy
	Unverified []claim        `json:"unverified"`           // one for each layer that may be a signature
}

// claim is what a signature says about itself.
type claim struct {
	Layer       string            `json:"layer"` // its digest
	Subject     string            `json:"subject,omitempty"`
	Issuer      string            `json:"issuer,omitempty"`
	GitHub      *githubClaim      `json:"github,omitempty"`
	Log         *logClaim         `json:"log,omitempty"`
	Annotations map[string]string `json:"annotations,omitempty"`
	Unusable    string            `json:"unusable,omitempty"` // why it cannot count
}

type githubClaim struct {
	Repository string `json:"repository"`
	Ref        string `json:"ref,omitempty"`
	Workflow   string `json:"workflow,omitempty"`
	Trigger    string `json:"trigger,omitempty"`
	SHA        string `json:"sha,omitempty"`
}

type logClaim struct {
	Index int64  `json:"index"`
	ID    string `json:"id"`
	Time  string `json:"time,omitempty"`
}

func claimOf(found evidence.Found) claim {
	c := claim{Layer: found.Descriptor.Digest.String(), Annotations: found.Annotations}
	if id := found.Keyless; id != nil {
		c.Subject, c.Issuer = id.Subject, id.Issuer
		if id.GitHub.Repository != "" {
			c.GitHub = &githubClaim{id.GitHub.Repository, id.GitHub.Ref, id.GitHub.Name, id.GitHub.Trigger, id.GitHub.SHA}
		}
	}
	if log := found.Log; log != nil {
		c.Log = &logClaim{log.Index, log.ID, timeText(log.Time)}
	}
	if found.Unusable != nil {
		c.Unusable = found.Unusable.Error()
	}
	return c
}

func (s signatures) document() signaturesDocument {
	var d signaturesDocument
	for _, found := range s {
		switch {
		case found.Layout == evidence.LayoutLegacy:
			d.Legacy = found.Manifest
		case !slices.Contains(d.Bundles, found.Manifest):
			d.Bundles = append(d.Bundles, found.Manifest)
		}
		d.Unverified = append(d.Unverified, claimOf(found))
	}
	return d
}

// printYAML prints the signatures below keys of the metadata document. Why there are none, or not
// all, goes to stderr: it is no YAML.
func (s signatures) printYAML(stdout, stderr io.Writer, err error) error {
	if reason := s.missing(err); reason != "" {
		if _, err := fmt.Fprintln(stderr, printable(reason)); err != nil || len(s) == 0 {
			return err
		}
	}
	return printYAML(stdout, s.document())
}
