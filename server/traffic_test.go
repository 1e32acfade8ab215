package server_test

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"go.uber.org/zap"
	"go.uber.org/zap/zaptest/observer"

	"policy-server/admission"
	"policy-server/policy"
	"policy-server/server"
)

// large returns a review of some size.
func large(size int) string {
	return strings.Replace(review, `{"a":1}`, `{"a":"`+strings.Repeat("x", size)+`"}`, 1)
}

// inFull waits until a request gets that status.
func inFull(t *testing.T, url, body string, status int) (answer string) {
	t.Helper()
	for range 500 {
		var got int
		if got, _, answer = post(t, url, "application/json", body); got == status {
			return answer
		}
		time.Sleep(10 * time.Millisecond)
	}
	t.Fatalf("never %d, in the end %s", status, answer)
	return ""
}

// TestTraffic_unfinishedBodies has clients hold bodies that they do not finish: what they take
// together is bounded, large requests are refused meanwhile, and small ones are not.
func TestTraffic_unfinishedBodies(t *testing.T) {
	s := httptest.NewServer(server.New(server.Config{Traffic: 4 << 20}, evaluatorFunc(byName), zap.NewNop()).Handler())
	defer s.Close()
	var held []net.Conn
	for range 8 {
		connection, err := net.Dial("tcp", strings.TrimPrefix(s.URL, "http://"))
		if err != nil {
			t.Fatal(err)
		}
		defer connection.Close()
		held = append(held, connection)
		fmt.Fprintf(connection, "POST /validate/allow HTTP/1.1\r\nHost: h\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n", 8<<20)
		if _, err := connection.Write(bytes.Repeat([]byte(" "), 1<<20)); err != nil {
			break // refused already
		}
	}
	answer := inFull(t, s.URL+"/validate/allow", large(2<<20), 503)
	if !strings.Contains(answer, "requests and answers in flight would take more than 4194304 bytes; give the server more replicas or memory") {
		t.Errorf("got %s", answer)
	}
	if status, _, answer := post(t, s.URL+"/validate/allow", "application/json", review); status != 200 {
		t.Errorf("a small one: %d %s", status, answer)
	}
	for _, connection := range held {
		_ = connection.Close()
	}
	inFull(t, s.URL+"/validate/allow", large(1<<20), 200)
}

// TestTraffic_slowReaders has clients not read large answers: these count, and are given up when
// their time is over.
func TestTraffic_slowReaders(t *testing.T) {
	patch := []byte(`[{"op":"add","path":"/a","value":"` + strings.Repeat("x", 6<<20) + `"}]`)
	evaluator := evaluatorFunc(func(_ context.Context, _ policy.ID, r *admission.Request, _ policy.Origin) (admission.Response, error) {
		return admission.Response{UID: r.UID(), Allowed: true, Patch: patch}, nil
	})
	s := httptest.NewServer(server.New(server.Config{Traffic: 20 << 20, WriteTimeout: 500 * time.Millisecond}, evaluator, zap.NewNop()).Handler())
	defer s.Close()
	connection, err := net.Dial("tcp", strings.TrimPrefix(s.URL, "http://"))
	if err != nil {
		t.Fatal(err)
	}
	defer connection.Close()
	fmt.Fprintf(connection, "POST /validate/allow HTTP/1.1\r\nHost: h\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%s", len(review), review)
	if _, err := io.ReadFull(connection, make([]byte, 1000)); err != nil { // it has begun to answer
		t.Fatal(err)
	}
	if status, _, answer := post(t, s.URL+"/validate/allow", "application/json", review); status != 503 {
		t.Errorf("while another answer is held: %d %.200s", status, answer)
	}
	inFull(t, s.URL+"/validate/allow", review, 200)
}

// clientKinds are how a client may speak to the server.
func clientKinds() map[string]func() *http.Client {
	return map[string]func() *http.Client{
		"HTTP/1.1": func() *http.Client { return &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: 1}} },
		"HTTP/2": func() *http.Client {
			protocols := new(http.Protocols)
			protocols.SetUnencryptedHTTP2(true)
			return &http.Client{Transport: &http.Transport{Protocols: protocols}}
		},
	}
}

// TestRun_lameDuck has busy clients with open connections when the server is told to stop, which
// are sent elsewhere half a lame duck's time later, as a cluster does. None loses a request.
func TestRun_lameDuck(t *testing.T) {
	for name, newClient := range clientKinds() {
		t.Run(name, func(t *testing.T) {
			core, logs := observer.New(zap.InfoLevel)
			s := server.New(server.Config{Address: "127.0.0.1:0", Readiness: "127.0.0.1:0", LameDuck: time.Second}, evaluatorFunc(byName), zap.New(core))
			ctx, stop := context.WithCancel(t.Context())
			ended := make(chan error, 1)
			go func() { ended <- s.Run(ctx) }()
			address, readiness := listening(t, logs)

			var clients sync.WaitGroup
			var answered, farewells atomic.Int64
			var sentElsewhere atomic.Bool
			for range 16 {
				client := newClient()
				clients.Go(func() {
					defer client.CloseIdleConnections()
					for !sentElsewhere.Load() {
						response, err := client.Post("http://"+address+"/validate/allow", "application/json", strings.NewReader(review))
						if err != nil {
							t.Errorf("a request was lost: %v", err)
							return
						}
						_, err = io.Copy(io.Discard, response.Body)
						_ = response.Body.Close()
						if response.StatusCode != 200 || err != nil {
							t.Errorf("%s, %v", response.Status, err)
						}
						answered.Add(1)
						if response.Close {
							farewells.Add(1)
						}
					}
				})
			}
			time.Sleep(200 * time.Millisecond)
			stop()
			time.Sleep(500 * time.Millisecond)
			sentElsewhere.Store(true)
			response, err := http.Get("http://" + readiness + "/readiness")
			if err != nil {
				t.Fatal(err)
			}
			_ = response.Body.Close()
			if response.StatusCode != http.StatusServiceUnavailable {
				t.Errorf("readiness of a lame duck: %s", response.Status)
			}
			clients.Wait()
			if err := <-ended; err != nil {
				t.Error(err)
			}
			if answered.Load() < 100 || name == "HTTP/1.1" && farewells.Load() == 0 {
				t.Errorf("%d answers, %d with a farewell", answered.Load(), farewells.Load())
			}
		})
	}
}

// TestRun_unfinished names what did not finish within the time to drain.
func TestRun_unfinished(t *testing.T) {
	core, logs := observer.New(zap.InfoLevel)
	began, finish := make(chan struct{}), make(chan struct{})
	evaluator := evaluatorFunc(func(context.Context, policy.ID, *admission.Request, policy.Origin) (admission.Response, error) {
		close(began)
		<-finish
		return admission.Response{}, nil
	})
	s := server.New(server.Config{Address: "127.0.0.1:0", Readiness: "127.0.0.1:0", Drain: 100 * time.Millisecond}, evaluator, zap.New(core))
	ctx, stop := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- s.Run(ctx) }()
	address, _ := listening(t, logs)
	left := make(chan struct{})
	go func() {
		defer close(left)
		if response, err := http.Post("http://"+address+"/validate/slow", "application/json", strings.NewReader(review)); err == nil {
			_ = response.Body.Close()
		}
	}()
	<-began
	stop()
	if err := <-ended; err == nil || err.Error() != "1 requests did not finish within 100ms: context deadline exceeded" {
		t.Errorf("got %v", err)
	}
	if lines := logs.FilterMessage("request did not finish").FilterField(zap.String("uri", "/validate/slow")).Len(); lines != 1 {
		t.Errorf("%d lines name it", lines)
	}
	close(finish)
	<-left
}
