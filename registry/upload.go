package registry

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strconv"
	"strings"

	"github.com/google/go-containerregistry/pkg/v1/remote/transport"
	"github.com/google/go-containerregistry/pkg/v1/types"
)

// chunkSize is that of Kubewarden: large enough to be few, small enough for the limits on bodies of
// common proxies.
const chunkSize = 4 << 20

// errChunks reports a registry that does not follow the rules of chunked uploads in the OCI
// distribution specification.
var errChunks = errors.New("the registry does not take chunks")

// upload puts content into the repository, unless it is there. When the connection breaks, it
// begins again.
func (r *repository) upload(ctx context.Context, content []byte) error {
	for attempt := 1; ; attempt++ {
		err := r.uploadOnce(ctx, content)
		if err == nil || ctx.Err() != nil || !brokenOff(err) || !r.retries.pause(ctx, attempt, 0) {
			return err
		}
	}
}

// brokenOff reports whether the upload failed half-way. Where nothing was taken, retrying has asked
// often enough.
func brokenOff(err error) bool {
	var answer *transport.Error
	if errors.As(err, &answer) {
		return inTrouble(answer.StatusCode) && answer.StatusCode != http.StatusServiceUnavailable
	}
	return transient(err)
}

func (r *repository) uploadOnce(ctx context.Context, content []byte) error {
	exists, err := r.hasBlob(ctx, digestOf(content))
	if exists || err != nil {
		return err
	}
	if len(content) > chunkSize {
		if err := r.uploadChunks(ctx, content); !errors.Is(err, errChunks) {
			return err
		}
	}
	location, _, err := r.beginUpload(ctx)
	if err != nil {
		return err
	}
	return r.endUpload(ctx, location, content, digestOf(content))
}

// hasBlob asks whether a blob need not be uploaded. A registry that refuses the question as such
// gets the blob.
func (r *repository) hasBlob(ctx context.Context, digest string) (bool, error) {
	resp, err := r.send(ctx, http.MethodHead, r.url("blobs", digest), nil, nil,
		http.StatusOK, http.StatusNotFound, http.StatusMethodNotAllowed, http.StatusNotImplemented)
	if err != nil {
		return false, err
	}
	return resp.StatusCode == http.StatusOK, nil
}

// beginUpload returns where the content goes, and the size the registry wants chunks to have at
// least.
func (r *repository) beginUpload(ctx context.Context) (location *url.URL, minChunk int, err error) {
	resp, err := r.send(ctx, http.MethodPost, r.url("blobs", "uploads/"), nil, nil, http.StatusAccepted)
	if err != nil {
		return nil, 0, err
	}
	if location, err = resp.Location(); err != nil {
		return nil, 0, fmt.Errorf("begin upload: %w", Scrub(err))
	}
	if minChunk, err = strconv.Atoi(resp.Header.Get("OCI-Chunk-Min-Length")); err != nil {
		minChunk = 0 // most registries name none
	}
	return location, minChunk, nil
}

// uploadChunks uploads content piece by piece. The error is errChunks if the registry objects to
// the pieces as such.
func (r *repository) uploadChunks(ctx context.Context, content []byte) error {
	location, minChunk, err := r.beginUpload(ctx)
	if err != nil {
		return err
	}
	size := max(chunkSize, minChunk)
	for from := 0; from < len(content); from += size {
		to := min(from+size, len(content))
		header := http.Header{
			"Content-Type":  {"application/octet-stream"},
			"Content-Range": {fmt.Sprintf("%d-%d", from, to-1)},
		}
		resp, err := r.send(ctx, http.MethodPatch, location.String(), header, content[from:to], http.StatusAccepted)
		if err != nil {
			return chunkError(err)
		}
		if got := resp.Header.Get("Range"); got != "" && strings.TrimPrefix(got, "bytes=") != fmt.Sprintf("0-%d", to-1) {
			return errChunks
		}
		if location, err = resp.Location(); err != nil {
			return errChunks
		}
	}
	return r.endUpload(ctx, location, nil, digestOf(content))
}

// chunkError tells an answer to the chunk from one that has other reasons: credentials, or trouble
// that may pass.
func chunkError(err error) error {
	var answer *transport.Error
	if errors.As(err, &answer) && !isRefusal(answer) && !IsUnavailable(err) {
		return errChunks
	}
	return err
}

// endUpload sends what is left of the content and closes the upload.
func (r *repository) endUpload(ctx context.Context, location *url.URL, rest []byte, digest string) error {
	query := location.Query()
	query.Set("digest", digest)
	location.RawQuery = query.Encode()
	header := http.Header{"Content-Type": {"application/octet-stream"}}
	_, err := r.send(ctx, http.MethodPut, location.String(), header, rest, http.StatusCreated)
	return err
}

// putManifest stores a manifest under a tag or its digest. What the registry says about where it is
// now must not contradict its digest.
func (r *repository) putManifest(ctx context.Context, identifier string, manifest []byte) error {
	header := http.Header{"Content-Type": {string(types.OCIManifestSchema1)}}
	resp, err := r.send(ctx, http.MethodPut, r.url("manifests", identifier), header, manifest,
		http.StatusCreated, http.StatusOK, http.StatusAccepted)
	if err != nil {
		return err
	}
	location := resp.Header.Get("Location")
	if location == "" { // as AWS ECR answers
		return nil
	}
	return checkManifestLocation(location, manifest)
}

// send makes a request with a body that can be sent again, and returns the answer if its status is
// one of those expected. Its body is closed.
func (r *repository) send(ctx context.Context, method, url string, header http.Header, body []byte, expected ...int) (*http.Response, error) {
	req, err := http.NewRequestWithContext(ctx, method, url, bytes.NewReader(body))
	if err != nil {
		return nil, Scrub(err)
	}
	if header != nil {
		req.Header = header
	}
	resp, err := r.do(req, expected...)
	if err != nil {
		return nil, err
	}
	return resp, resp.Body.Close()
}
