package kubernetes

import (
	"fmt"
	"io"
	"net/http"
)

// What is read of one answer of the API server, and of one event of a watch, before it is given up:
// a page has at most five hundred objects, and none is larger than what etcd takes, which is one
// and a half megabytes unless somebody raised it.
const (
	maxAnswerBytes = 512 << 20
	maxEventBytes  = 32 << 20
)

// boundAnswers bounds what a transport hands to client-go, which reads whole answers into memory.
// Streams of events are bounded where they are read.
func boundAnswers(next http.RoundTripper) http.RoundTripper { return &answerBound{next} }

type answerBound struct{ next http.RoundTripper }

func (b *answerBound) RoundTrip(req *http.Request) (*http.Response, error) {
	resp, err := b.next.RoundTrip(req)
	if err == nil && req.URL.Query().Get("watch") == "" {
		resp.Body = &bounded{ReadCloser: resp.Body, what: "answer", limit: maxAnswerBytes, left: maxAnswerBytes}
	}
	return resp, err
}

// bounded fails once more than left bytes were read.
type bounded struct {
	io.ReadCloser
	what        string
	limit, left int64
}

func (b *bounded) Read(p []byte) (int, error) {
	n, err := b.ReadCloser.Read(p)
	if b.left -= int64(n); b.left < 0 {
		return 0, fmt.Errorf("the API server's %s is larger than %d bytes", b.what, b.limit)
	}
	return n, err
}
