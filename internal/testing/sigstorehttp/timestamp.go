package sigstorehttp

import (
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
	answer, err := s.Authority.Stamp(request.HashAlgorithm, request.HashedMessage, time.Now())
	return http.StatusCreated, http.Header{"Content-Type": {"application/timestamp-reply"}}, answer, err
}
