package server_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	goruntime "runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
	"go.uber.org/zap/zaptest/observer"

	"policy-server/admission"
	"policy-server/internal/testing/apiserver"
	"policy-server/policy"
	"policy-server/server"
)

const review = `{"kind":"AdmissionReview","apiVersion":"admission.k8s.io/v1","request":{"uid":"u1","kind":{"group":"","version":"v1","kind":"Pod"},"resource":{"group":"","version":"v1","resource":"pods"},"operation":"CREATE","userInfo":{},"object":{"a":1}}}`

// evaluatorFunc is an Evaluator made of a function, so that the HTTP edge is tested without
// WebAssembly.
type evaluatorFunc func(context.Context, policy.ID, *admission.Request, policy.Origin) (admission.Response, error)

func (f evaluatorFunc) Evaluate(ctx context.Context, id policy.ID, r *admission.Request, origin policy.Origin) (admission.Response, error) {
	return f(ctx, id, r, origin)
}

// observed is f with an observer, told as the real Evaluator tells it.
func observed(f evaluatorFunc, observe policy.Observer) evaluatorFunc {
	return func(ctx context.Context, id policy.ID, r *admission.Request, origin policy.Origin) (admission.Response, error) {
		response, err := f(ctx, id, r, origin)
		observe(&policy.Event{Policy: id, Origin: origin, Request: r, Verdict: response, Response: response, Err: err})
		return response, err
	}
}

// byName answers as the policy's name says.
func byName(ctx context.Context, id policy.ID, r *admission.Request, origin policy.Origin) (admission.Response, error) {
	switch id {
	case "allow", "group/member", "50%", "é":
		return admission.Response{UID: r.UID(), Allowed: true}, nil
	case "refuse":
		return admission.Reject(r.UID(), "no & never", 403), nil
	case "patch":
		return admission.Response{UID: r.UID(), Allowed: true, Patch: []byte(`[{"op":"remove","path":"/a"}]`)}, nil
	case "origin":
		return admission.Reject(r.UID(), fmt.Sprintf("origin %d, raw %t", origin, r.IsRaw()), 400), nil
	case "deadline":
		deadline, ok := ctx.Deadline()
		return admission.Reject(r.UID(), fmt.Sprintf("%t, %s", ok, time.Until(deadline).Round(time.Second)), 400), nil
	case "busy":
		return admission.Response{}, &policy.BusyError{Policy: "busy", Err: context.DeadlineExceeded}
	case "broken":
		return admission.Response{}, errors.New("the secret reason")
	case "gone":
		return admission.Response{}, context.Canceled
	case "panics":
		panic("a defect")
	}
	return admission.Response{}, &policy.UnknownError{ID: id}
}

func newServer(t *testing.T) (*httptest.Server, *observer.ObservedLogs) {
	t.Helper()
	core, logs := observer.New(zapcore.DebugLevel)
	s := httptest.NewServer(server.New(server.Config{}, observed(byName, server.LogEvaluations(zap.New(core))), zap.New(core)).Handler())
	t.Cleanup(s.Close)
	return s, logs
}

// post sends body and returns status, Content-Type and body of the answer.
func post(t *testing.T, url, contentType, body string) (int, string, string) {
	t.Helper()
	request, err := http.NewRequestWithContext(t.Context(), http.MethodPost, url, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	if contentType != "" {
		request.Header.Set("Content-Type", contentType)
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	answer, err := io.ReadAll(response.Body)
	if err != nil {
		t.Fatal(err)
	}
	return response.StatusCode, response.Header.Get("Content-Type"), string(answer)
}

func TestAnswers(t *testing.T) {
	s, logs := newServer(t)
	const allowed = `{"kind":"AdmissionReview","apiVersion":"admission.k8s.io/v1","response":{"uid":"u1","allowed":true,"auditAnnotations":null,"warnings":null}}`
	verdict := func(message string, code int) string {
		return fmt.Sprintf(`{"kind":"AdmissionReview","apiVersion":"admission.k8s.io/v1","response":{"uid":"u1","allowed":false,"status":{"message":%q,"code":%d},"auditAnnotations":null,"warnings":null}}`, message, code)
	}
	for name, c := range map[string]struct{ path, body, want string }{
		"allowed":               {"/validate/allow", review, allowed},
		"refused":               {"/validate/refuse", review, verdict("no & never", 403)},
		"audited":               {"/audit/refuse", review, verdict("no & never", 403)},
		"patched":               {"/validate/patch", review, `{"kind":"AdmissionReview","apiVersion":"admission.k8s.io/v1","response":{"uid":"u1","allowed":true,"patchType":"JSONPatch","patch":"W3sib3AiOiJyZW1vdmUiLCJwYXRoIjoiL2EifV0=","auditAnnotations":null,"warnings":null}}`},
		"raw":                   {"/validate_raw/allow", `{"request":{"uid":"r"}}`, `{"response":{"uid":"r","allowed":true,"auditAnnotations":null,"warnings":null}}`},
		"raw null":              {"/validate_raw/allow", `{"request":null}`, `{"response":{"uid":"","allowed":true,"auditAnnotations":null,"warnings":null}}`},
		"from the webhook":      {"/validate/origin", review, verdict("origin 0, raw false", 400)},
		"from the audit":        {"/audit/origin", review, verdict("origin 1, raw false", 400)},
		"v1beta1":               {"/validate/allow", strings.Replace(review, "k8s.io/v1", "k8s.io/v1beta1", 1), allowed},
		"a member of a group":   {"/validate/group%2Fmember", review, allowed},
		"an escaped percent":    {"/validate/50%25", review, allowed},
		"another alphabet":      {"/validate/%C3%A9", review, allowed},
		"no timeout":            {"/validate/deadline", review, verdict("false, -2562047h47m16.854775808s", 400)},
		"the client's timeout":  {"/validate/deadline?timeout=7s", review, verdict("true, 7s", 400)},
		"a timeout that is not": {"/validate/deadline?timeout=soon", review, verdict("false, -2562047h47m16.854775808s", 400)},
	} {
		t.Run(name, func(t *testing.T) {
			status, contentType, body := post(t, s.URL+c.path, "application/json", c.body)
			if status != 200 || contentType != "application/json" || body != c.want {
				t.Errorf("%d %s\n got %s\nwant %s", status, contentType, body, c.want)
			}
			if !strings.HasPrefix(c.path, "/validate_raw") {
				apiserver.Check(t, []byte(c.body), []byte(body))
			}
		})
	}
	lines := logs.FilterMessage("finished processing request").FilterField(zap.String("policy_id", "refuse")).All()
	if len(lines) != 2 || lines[0].ContextMap()["request_uid"] != "u1" || lines[0].ContextMap()["allowed"] != false || lines[0].ContextMap()["response_message"] != "no & never" {
		t.Errorf("logged %v", lines)
	}
}

func TestFailures(t *testing.T) {
	s, logs := newServer(t)
	const json = "application/json"
	for name, c := range map[string]struct {
		path, contentType, body string
		status                  int
		want                    string // of the message; "" for an empty body
	}{
		"unknown policy":         {"/validate/nobody", json, review, 404, "unknown policy: nobody"},
		"unknown, audit":         {"/audit/nobody", json, review, 404, "unknown policy: nobody"},
		"unknown, raw":           {"/validate_raw/nobody", json, `{"request":1}`, 404, "unknown policy: nobody"},
		"bad body comes first":   {"/validate/nobody", json, `{}`, 422, "Failed to deserialize the JSON body into the target type: missing field `request` at line 1 column 2"},
		"wrong shape, audit":     {"/audit/allow", json, `{}`, 422, "Failed to deserialize"},
		"wrong shape, raw":       {"/validate_raw/allow", json, `{}`, 422, "Failed to deserialize"},
		"not JSON":               {"/validate/allow", json, `{"request":`, 400, "Failed to parse the request body as JSON: "},
		"empty body":             {"/validate/allow", json, ``, 400, "Failed to parse the request body as JSON: EOF while parsing a value at line 1 column 0"},
		"trailing bytes":         {"/validate/allow", json, review + "x", 400, "Failed to parse the request body as JSON: trailing characters"},
		"no content type":        {"/validate/allow", "", review, 415, "Expected request with `Content-Type: application/json`"},
		"form":                   {"/validate/allow", "application/x-www-form-urlencoded", review, 415, "Expected request"},
		"json in text":           {"/validate/allow", "text/json", review, 415, "Expected request"},
		"too large":              {"/validate/allow", json, strings.Repeat(" ", 8<<20+1), 413, "Failed to buffer the request body: length limit exceeded"},
		"no such route":          {"/evaluate/allow", json, review, 404, ""},
		"no policy":              {"/validate/", json, review, 404, ""},
		"neither":                {"/validate", json, review, 404, ""},
		"two segments":           {"/validate/group/member", json, review, 404, ""},
		"name is not UTF-8":      {"/validate/%ff", json, review, 400, "Invalid URL: Invalid UTF-8 in `policy_id`"},
		"name with two slashes":  {"/validate/a%2Fb%2Fc", json, review, 400, "Not a valid Policy ID: a/b/c"},
		"name ends in a slash":   {"/validate/a%2F", json, review, 400, "Not a valid Policy ID: a/"},
		"no place for it":        {"/validate/busy", json, review, 503, "policy \"busy\" is too busy: its guest got no place in time: context deadline exceeded"},
		"a failure of ours":      {"/validate/broken", json, review, 500, "Something went wrong"},
		"a defect of ours":       {"/validate/panics", json, review, 500, "Something went wrong"},
		"the client has gone":    {"/validate/gone", json, review, 499, "client closed the request"},
		"length is not believed": {"/validate/allow", json, "", 400, "Failed to parse the request body as JSON"},
	} {
		t.Run(name, func(t *testing.T) {
			status, contentType, body := post(t, s.URL+c.path, c.contentType, c.body)
			if status != c.status {
				t.Errorf("status %d, want %d: %s", status, c.status, body)
			}
			if c.want == "" {
				if body != "" {
					t.Errorf("body %q, want none", body)
				}
				return
			}
			if contentType != json || !strings.HasPrefix(body, `{"message":"`+strings.ReplaceAll(c.want, `"`, `\"`)) || !strings.HasSuffix(body, fmt.Sprintf(`,"status":%d}`, c.status)) {
				t.Errorf("%s %s, want %s", contentType, body, c.want)
			}
		})
	}
	if logs.FilterMessage("request handler panicked").Len() != 1 || logs.FilterField(zap.Error(errors.New("the secret reason"))).Len() == 0 {
		t.Error("what went wrong inside is not in the log")
	}
	response, err := http.Get(s.URL + "/validate/allow")
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	if response.StatusCode != 405 || response.Header.Get("Allow") != "POST" {
		t.Errorf("GET: %s, Allow %q", response.Status, response.Header.Get("Allow"))
	}
}

// TestAnnouncedLength holds that a body costs memory when it arrives, not when it is announced.
func TestAnnouncedLength(t *testing.T) {
	s, _ := newServer(t)
	var before, after goruntime.MemStats
	goruntime.ReadMemStats(&before)
	for range 20 {
		connection, err := net.Dial("tcp", strings.TrimPrefix(s.URL, "http://"))
		if err != nil {
			t.Fatal(err)
		}
		defer connection.Close()
		fmt.Fprintf(connection, "POST /validate/allow HTTP/1.1\r\nHost: h\r\nContent-Type: application/json\r\nContent-Length: %d\r\nExpect: 100-continue\r\n\r\n", 8<<20)
		answer := make([]byte, 12)
		if _, err := io.ReadFull(connection, answer); err != nil || string(answer) != "HTTP/1.1 100" {
			t.Fatalf("%q, %v", answer, err) // the handler has begun to read
		}
	}
	goruntime.ReadMemStats(&after)
	if grown := after.TotalAlloc - before.TotalAlloc; grown > 20<<20 {
		t.Errorf("20 connections that sent nothing cost %d bytes", grown)
	}
}

func TestContentTypes(t *testing.T) {
	s, _ := newServer(t)
	for _, contentType := range []string{"application/json; charset=utf-8", "application/admission.k8s.io+json", "Application/JSON"} {
		if status, _, body := post(t, s.URL+"/validate/allow", contentType, review); status != 200 {
			t.Errorf("%s: %d %s", contentType, status, body)
		}
	}
}

// TestChunkedBody sends a body without announcing its length.
func TestChunkedBody(t *testing.T) {
	s, _ := newServer(t)
	for body, want := range map[string]int{review: 200, strings.Repeat(" ", 8<<20+1): 413} {
		request, err := http.NewRequestWithContext(t.Context(), http.MethodPost, s.URL+"/validate/allow", struct{ io.Reader }{strings.NewReader(body)})
		if err != nil {
			t.Fatal(err)
		}
		request.Header.Set("Content-Type", "application/json")
		response, err := http.DefaultClient.Do(request)
		if err != nil {
			t.Fatal(err)
		}
		_ = response.Body.Close()
		if response.StatusCode != want {
			t.Errorf("%d bytes: %s", len(body), response.Status)
		}
	}
}

func TestRun(t *testing.T) {
	core, logs := observer.New(zapcore.DebugLevel)
	var mu sync.Mutex
	var order []string
	note := func(event string) {
		mu.Lock()
		defer mu.Unlock()
		order = append(order, event)
	}
	began, finish := make(chan struct{}), make(chan struct{})
	evaluator := evaluatorFunc(func(context.Context, policy.ID, *admission.Request, policy.Origin) (admission.Response, error) {
		close(began)
		<-finish
		note("answered")
		return admission.Response{UID: "u1", Allowed: true}, nil
	})
	s := server.New(server.Config{
		Address: "127.0.0.1:0", Readiness: "127.0.0.1:0",
		Retire: func(context.Context) error { note("retired"); return nil },
	}, evaluator, zap.New(core))
	ctx, stop := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- s.Run(ctx) }()
	address, readiness := listening(t, logs)

	response, err := http.Get("http://" + readiness + "/readiness")
	if err != nil {
		t.Fatal(err)
	}
	if body, err := io.ReadAll(response.Body); response.StatusCode != 200 || len(body) != 0 || err != nil {
		t.Errorf("readiness: %s %q %v", response.Status, body, err)
	}
	_ = response.Body.Close()

	answered := make(chan int, 1)
	go func() {
		status, _, _ := post(t, "http://"+address+"/validate/p", "application/json", review)
		answered <- status
	}()
	<-began
	stop() // while a request is in flight
	for {
		if _, err := net.DialTimeout("tcp", address, time.Second); err != nil {
			break // it accepts no more
		}
	}
	close(finish)
	if status := <-answered; status != 200 {
		t.Errorf("the request in flight got %d", status)
	}
	if err := <-ended; err != nil {
		t.Error(err)
	}
	if strings.Join(order, " ") != "answered retired" {
		t.Errorf("order: %v", order)
	}
}

// listening waits until the server says where it listens.
func listening(t *testing.T, logs *observer.ObservedLogs) (address, readiness string) {
	t.Helper()
	for range 500 {
		if lines := logs.FilterMessage("server listening").All(); len(lines) == 1 {
			said := lines[0].ContextMap()
			return said["address"].(string), said["readiness"].(string)
		}
		time.Sleep(10 * time.Millisecond)
	}
	t.Fatal("the server does not listen")
	return "", ""
}

func TestRun_portTaken(t *testing.T) {
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	for name, config := range map[string]server.Config{
		"API":       {Address: taken.Addr().String(), Readiness: "127.0.0.1:0"},
		"readiness": {Address: "127.0.0.1:0", Readiness: taken.Addr().String()},
	} {
		err := server.New(config, evaluatorFunc(byName), zap.NewNop()).Run(t.Context())
		if err == nil || !strings.Contains(err.Error(), fmt.Sprintf("cannot listen on %q", taken.Addr().String())) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestReadiness_beforeRun(t *testing.T) {
	recorder := httptest.NewRecorder()
	server.New(server.Config{}, evaluatorFunc(byName), zap.NewNop()).ReadinessHandler().
		ServeHTTP(recorder, httptest.NewRequest(http.MethodGet, "/readiness", nil))
	if recorder.Code != 503 {
		t.Errorf("ready before it serves: %d", recorder.Code)
	}
}

// FuzzHandler holds that no path, type or body makes the edge panic or answer with anything but a
// status it documents.
func FuzzHandler(f *testing.F) {
	handler := server.New(server.Config{}, evaluatorFunc(byName), zap.NewNop()).Handler()
	f.Add("/validate/allow", "application/json", review)
	f.Add("/validate_raw/a%2Fb", "application/x+json", `{"request":{"uid":1}}`)
	f.Add("/audit/%", "", "")
	documented := map[int]bool{200: true, 400: true, 404: true, 405: true, 413: true, 415: true, 422: true, 500: true}
	f.Fuzz(func(t *testing.T, path, contentType, body string) {
		if strings.Contains(path, "panics") || strings.Contains(path, "busy") || strings.Contains(path, "gone") {
			return
		}
		request, err := http.NewRequest(http.MethodPost, "http://host/"+strings.TrimPrefix(path, "/"), strings.NewReader(body))
		if err != nil {
			return
		}
		request.Header.Set("Content-Type", contentType)
		recorder := httptest.NewRecorder()
		handler.ServeHTTP(recorder, request)
		if !documented[recorder.Code] {
			t.Fatalf("%s %q %q: %d", path, contentType, body, recorder.Code)
		}
	})
}

// TestCheckAddresses holds that a taken address is found, also when both are the same, and that
// nothing is kept of free ones.
func TestCheckAddresses(t *testing.T) {
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	free, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	address := free.Addr().String()
	if err := free.Close(); err != nil {
		t.Fatal(err)
	}
	check := func(api, readiness string) error {
		return server.New(server.Config{Address: api, Readiness: readiness}, nil, zap.NewNop()).CheckAddresses(t.Context())
	}
	for _, addresses := range [][2]string{{taken.Addr().String(), address}, {address, taken.Addr().String()}, {address, address}} {
		if err := check(addresses[0], addresses[1]); err == nil || !strings.Contains(err.Error(), "cannot listen on") {
			t.Errorf("%s: %v", addresses, err)
		}
	}
	for range 2 {
		if err := check(address, "127.0.0.1:0"); err != nil {
			t.Errorf("free: %v", err)
		}
	}
}
