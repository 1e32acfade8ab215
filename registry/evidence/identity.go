package evidence

import (
	"crypto/x509"
	"encoding/asn1"
	"fmt"
	"net/url"
	"strings"

	"github.com/sigstore/sigstore-go/pkg/fulcio/certificate"
)

// Identity is who made a keyless signature, as the certificate authority saw it.
type Identity struct {
	Issuer  string // the OIDC issuer that vouched for the subject
	Subject string // an e-mail address, or a URI such as a workflow's
	GitHub  GitHubWorkflow

	uri bool // the subject is a URI
}

// GitHubWorkflow is the run of a GitHub Actions workflow that a certificate was issued to; zero for
// other identities.
type GitHubWorkflow struct {
	Trigger    string // "push"
	SHA        string // of the commit
	Name       string // of the workflow
	Repository string // "owner/name", in which it ran; the workflow's file may be another repository's
	Ref        string // "refs/tags/v1"
}

// String returns the identity in one line.
func (id Identity) String() string {
	text := fmt.Sprintf("subject %q of issuer %q", id.Subject, id.Issuer)
	if id.GitHub.Repository != "" {
		text += fmt.Sprintf(", GitHub repository %q at %q", id.GitHub.Repository, id.GitHub.Ref)
	}
	return text
}

// identityOf reads the identity in a certificate; whether the certificate can be trusted is another
// question. One that names no subject, or two issuers, is refused.
func identityOf(cert *x509.Certificate) (Identity, error) {
	id, err := subjectOf(cert)
	if err != nil {
		return Identity{}, err
	}
	if id.Issuer, err = issuerOf(cert); err != nil {
		return Identity{}, err
	}
	fields, err := certificate.ParseExtensions(cert.Extensions)
	if err != nil {
		return Identity{}, fmt.Errorf("%w: %w", ErrNoIdentity, err)
	}
	id.GitHub = GitHubWorkflow{
		Trigger: fields.GithubWorkflowTrigger, SHA: fields.GithubWorkflowSHA, Name: fields.GithubWorkflowName,
		Repository: fields.GithubWorkflowRepository, Ref: fields.GithubWorkflowRef,
	}
	return id, nil
}

// subjectOf returns the first e-mail address or URI among the subject's alternative names, byte for
// byte: the names that crypto/x509 returns are sorted by kind, and its URIs are written anew.
func subjectOf(cert *x509.Certificate) (Identity, error) {
	const tagEmail, tagURI = 1, 6 // RFC 5280, 4.2.1.6
	for _, extension := range cert.Extensions {
		if !extension.Id.Equal(asn1.ObjectIdentifier{2, 5, 29, 17}) {
			continue
		}
		var names []asn1.RawValue
		if _, err := asn1.Unmarshal(extension.Value, &names); err != nil {
			return Identity{}, fmt.Errorf("%w: subject alternative names: %w", ErrNoIdentity, err)
		}
		for _, name := range names {
			if name.Class == asn1.ClassContextSpecific && (name.Tag == tagEmail || name.Tag == tagURI) {
				return Identity{Subject: string(name.Bytes), uri: name.Tag == tagURI}, nil
			}
		}
	}
	return Identity{}, fmt.Errorf("%w: neither an e-mail address nor a URI", ErrNoIdentity)
}

// issuerOf reads the issuer from the extension of today, else from the one it replaced. When both
// are there they must agree: a verifier that reads only one of them would see another identity.
func issuerOf(cert *x509.Certificate) (string, error) {
	var current, legacy string
	for _, extension := range cert.Extensions {
		switch {
		case extension.Id.Equal(certificate.OIDIssuerV2):
			if err := certificate.ParseDERString(extension.Value, &current); err != nil {
				return "", fmt.Errorf("%w: issuer: %w", ErrNoIdentity, err)
			}
		case extension.Id.Equal(asn1.ObjectIdentifier{1, 3, 6, 1, 4, 1, 57264, 1, 1}):
			legacy = string(extension.Value)
		}
	}
	switch {
	case current == "":
		current = legacy
	case legacy != "" && legacy != current:
		return "", fmt.Errorf("%w: two issuers, %.100q and %.100q", ErrNoIdentity, current, legacy)
	}
	if current == "" {
		return "", fmt.Errorf("%w: no issuer", ErrNoIdentity)
	}
	return current, nil
}

// GitHubIssuer is the OIDC issuer of GitHub Actions.
const GitHubIssuer = "https://token.actions.githubusercontent.com"

// GitHubOwner returns owner and name of the repository in which the identity's workflow ran. They
// are never taken from the subject, which names the file of the workflow: with reusable workflows,
// that is somebody else's.
func (id Identity) GitHubOwner() (owner, repo string, err error) {
	switch {
	case id.Issuer != GitHubIssuer:
		return "", "", fmt.Errorf("%w: not issued to GitHub Actions: got %s", ErrWrongIdentity, id)
	case !id.uri || !isGitHubWorkflow(id.Subject):
		return "", "", fmt.Errorf("%w: not a workflow on github.com: got %s", ErrWrongIdentity, id)
	}
	owner, repo, ok := strings.Cut(id.GitHub.Repository, "/")
	if !ok || owner == "" || repo == "" || strings.Contains(repo, "/") {
		return "", "", fmt.Errorf("%w: no GitHub repository: got %s", ErrWrongIdentity, id)
	}
	return owner, repo, nil
}

func isGitHubWorkflow(subject string) bool {
	u, err := url.Parse(subject)
	if err != nil || !strings.EqualFold(u.Hostname(), "github.com") {
		return false
	}
	elements := strings.Split(strings.TrimPrefix(u.EscapedPath(), "/"), "/")
	return len(elements) >= 2 && elements[0] != "" && elements[1] != ""
}
