package sign

import (
	"errors"
	"fmt"
	"net/http"
	"net/url"

	"github.com/google/go-containerregistry/pkg/name"
	"github.com/google/go-containerregistry/pkg/v1/remote/transport"
)

// AttachError reports a signature that was made, and possibly logged, but is not in the registry.
type AttachError struct {
	Digest name.Digest
	Err    error
}

// newAttachError takes the query out of the URL an HTTP client's error carries: registries have
// clients upload to places whose address is the permission.
func newAttachError(d name.Digest, err error) *AttachError {
	var failed *url.Error
	if errors.As(err, &failed) {
		if u, parseErr := url.Parse(failed.URL); parseErr == nil {
			failed.URL = (&url.URL{Scheme: u.Scheme, Host: u.Host, Path: u.Path}).String()
		}
	}
	return &AttachError{Digest: d, Err: err}
}

func (e *AttachError) Error() string {
	return fmt.Sprintf("attach a signature to %s: %v", e.Digest, e.Err)
}

// Unwrap returns the cause.
func (e *AttachError) Unwrap() error { return e.Err }

// Hint says what the user can do next; "" when the text already says it.
func (e *AttachError) Hint() string {
	var answer *transport.Error
	if errors.As(e.Err, &answer) && (answer.StatusCode == http.StatusUnauthorized || answer.StatusCode == http.StatusForbidden) {
		return fmt.Sprintf("put credentials for %q that may push to this repository into config.json of the Docker config directory", e.Digest.RegistryStr())
	}
	return ""
}
