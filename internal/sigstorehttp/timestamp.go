package sigstorehttp

import (
	"crypto"
	"io"
	"net/http"
	"time"

	"github.com/digitorus/timestamp"
)

// stamp answers an RFC 3161 time-stamp request.
func (s *Services) stamp(r *http.Request) (int, http.Header, []byte, error) {
	query, err := io.ReadAll(r.Body)
	if err != nil {
		return 0, nil, nil, err
	}
	request, err := timestamp.ParseRequest(query)
	if err != nil {
		return 0, nil, nil, err
	}
	stamped := timestamp.Timestamp{
		HashAlgorithm: request.HashAlgorithm,
		HashedMessage: request.HashedMessage,
		Time:          time.Now(),
		Policy:        []int{1, 3, 6, 1, 4, 1, 57264, 2},
	}
	answer, err := stamped.CreateResponseWithOpts(s.tsa.certificate, s.tsa.key, crypto.SHA256)
	return http.StatusCreated, http.Header{"Content-Type": {"application/timestamp-reply"}}, answer, err
}
