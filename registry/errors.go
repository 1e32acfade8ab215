package registry

import (
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/url"

	"github.com/google/go-containerregistry/pkg/v1/remote/transport"
)

// fault is an error that is nothing but its text. The texts are Kubewarden's, capitals included:
// scripts match them.
type fault string

func (f fault) Error() string { return string(f) }

const (
	errNoLayers         = fault("Fail to interact with OCI registry: No layers to pull")
	errNotOneLayer      = fault("Cannot verify local file integrity, the remote manifest doesn't have only one WASM layer")
	errLayerNotSHA256   = fault("The checksum inside of the remote manifest is not using the sha256 hashing algorithm as expected.")
	errNoPlatform       = fault("Image manifest not found: no entry found in image index manifest matching client's default platform")
	errNotWasm          = fault("invalid wasm file")
	errPushDestination  = fault("Invalid destination format")
	errCertificateShape = fault("Invalid certificate: Raw certificate is not in PEM nor in DER encoding")
)

// FetchError reports a module that could not be resolved or read. Its text holds no credentials:
// URLs appear without user information and query.
type FetchError struct {
	Reference Reference
	Err       error
}

func (e *FetchError) Error() string { return fmt.Sprintf("fetch %q: %v", e.Reference.URI(), e.Err) }

// Unwrap returns the cause; context errors stay visible through it.
func (e *FetchError) Unwrap() error { return e.Err }

// Hint says what the operator can do next; empty when the text already says it.
func (e *FetchError) Hint() string {
	text := hint(e.Reference.server(), e.Err)
	if e.Reference.scheme != SchemeRegistry || e.Reference.pinned() || !IsUnavailable(e.Err) {
		return text
	}
	const pin = "a module that is asked for by digest needs no registry once it is stored"
	if text == "" {
		return pin
	}
	return text + "; " + pin
}

// PushError reports a module that could not be pushed. Like FetchError, it holds no credentials.
type PushError struct {
	Reference Reference
	Err       error
}

func (e *PushError) Error() string { return fmt.Sprintf("push %q: %v", e.Reference.URI(), e.Err) }

// Unwrap returns the cause.
func (e *PushError) Unwrap() error { return e.Err }

// Hint says what the operator can do next; empty when the text already says it.
func (e *PushError) Hint() string { return hint(e.Reference.server(), e.Err) }

// PlainHTTPError reports a request that would have gone out unencrypted to a host the operator did
// not list as insecure. Nothing was sent.
type PlainHTTPError struct {
	Host string // host[:port], as it would have to be listed
}

func (e *PlainHTTPError) Error() string {
	return fmt.Sprintf("plain http to %q refused: the host is not listed in insecure_sources", e.Host)
}

// Hint names the entry that would allow the request.
func (e *PlainHTTPError) Hint() string {
	return fmt.Sprintf("serve %q over https, or list it under insecure_sources in the sources file", e.Host)
}

// TooLargeError reports foreign content refused because of its size; at most Limit bytes of it were
// read.
type TooLargeError struct {
	What  string // "manifest", "module", "image config" or "file of signatures"
	Limit int64  // in bytes
}

func (e *TooLargeError) Error() string {
	return fmt.Sprintf("%s is larger than the limit of %d bytes", e.What, e.Limit)
}

// DigestMismatchError reports bytes that are not those the manifest promises.
type DigestMismatchError struct {
	Want, Got string // hex SHA-256
	Signed    bool   // whether the manifest's signatures had been verified
}

func (e *DigestMismatchError) Error() string {
	if e.Signed {
		return fmt.Sprintf("The digest of the local file doesn't match with the one reported inside of the signed manifest."+
			" Got %s instead of %s", e.Got, e.Want)
	}
	return fmt.Sprintf("Fail to interact with OCI registry: Invalid digest. Expected sha256:%s, got sha256:%s", e.Want, e.Got)
}

// StatusError reports an https or http module whose server did not answer 200.
type StatusError struct {
	Code int
}

func (e *StatusError) Error() string {
	return fmt.Sprintf("unexpected status %d %s", e.Code, http.StatusText(e.Code))
}

// CredentialsError reports a registry that refused a request which went out without credentials,
// because those the Docker config speaks of could not be had. Its text holds none of them.
type CredentialsError struct {
	Host    string           // of the registry
	Refusal *transport.Error // what the registry said
	Err     error            // why there are no credentials
}

func (e *CredentialsError) Error() string {
	return fmt.Sprintf("%v; it was asked without credentials: %v", e.Refusal, e.Err)
}

// Unwrap returns the refusal and its reason.
func (e *CredentialsError) Unwrap() []error { return []error{e.Refusal, e.Err} }

// Hint says where the credentials were looked for.
func (e *CredentialsError) Hint() string {
	return fmt.Sprintf("mend the entry with the credentials for %q in config.json of the Docker config directory", e.Host)
}

// isRefusal reports whether the registry wants other credentials, or any.
func isRefusal(answer *transport.Error) bool {
	return answer.StatusCode == http.StatusUnauthorized || answer.StatusCode == http.StatusForbidden
}

// IsUnavailable reports whether err says nothing but that a registry could not be asked: no
// connection, no answer, or one that it is in trouble or asked too often. What it refuses or does
// not have is an answer.
func IsUnavailable(err error) bool {
	var (
		lookup *net.DNSError
		answer *transport.Error
	)
	if errors.As(err, &answer) {
		return inTrouble(answer.StatusCode) || answer.StatusCode == http.StatusTooManyRequests
	}
	return silent(err) || errors.As(err, &lookup) || transient(err)
}

func hint(host string, err error) string {
	var (
		hinted    interface{ Hint() string }
		operation *net.OpError
		response  *transport.Error
		authority x509.UnknownAuthorityError
		large     *TooLargeError
	)
	switch {
	case errors.As(err, &authority): // before the next: to local addresses plain http is tried, and refused, as well
		return fmt.Sprintf("list the CA of %q under source_authorities in the sources file", host)
	case errors.As(err, &operation) && operation.Op == "dial": // before the next, for the same reason
		return fmt.Sprintf("check that %q is up, and that it can be reached from here", host)
	case silent(err): // and for the same reason
		return (&StalledError{Host: host}).Hint()
	case errors.As(err, &hinted):
		return hinted.Hint()
	case errors.Is(err, http.ErrSchemeMismatch):
		return (&PlainHTTPError{Host: host}).Hint()
	case errors.As(err, &response) && isRefusal(response):
		return fmt.Sprintf("put credentials for %q that allow this repository into config.json of the Docker config directory", host)
	case errors.As(err, &response) && response.StatusCode == http.StatusNotFound:
		return "check the repository and the tag; some registries also answer so when credentials are missing"
	case errors.As(err, &response) && response.StatusCode == http.StatusTooManyRequests:
		return fmt.Sprintf("%q limits how often it may be asked: wait, or put credentials for it into config.json of the Docker config directory", host)
	case errors.As(err, &large):
		return fmt.Sprintf("check that the reference names a policy, or raise the limit on the size of a %s", large.What)
	}
	return ""
}

// Scrub takes user information and query out of the URL an HTTP client's error carries: registries
// redirect to storage with signed tokens in the query, and an operator may have written a password
// into a module's URL. It must see the error before anything formats it. Errors of this package
// have been through it; it is for those of libraries that were given RemoteOptions.
func Scrub(err error) error {
	var failed *url.Error
	if errors.As(err, &failed) {
		failed.URL = withoutSecrets(failed.URL)
	}
	return err
}

func withoutSecrets(text string) string {
	u, err := url.Parse(text)
	if err != nil {
		return "(URL left out)"
	}
	return (&url.URL{Scheme: u.Scheme, Host: u.Host, Path: u.Path, RawPath: u.RawPath}).String()
}
