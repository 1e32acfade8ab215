package e2e

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptrace"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"policy-server/internal/testing/apiserver"
	"policy-server/internal/testing/guests"
)

// unverified are the files of a server that serves guests, each under its own name, without
// verification.
func unverified(t *testing.T, names ...string) map[string]string {
	t.Helper()
	var policies strings.Builder
	for _, name := range names {
		fmt.Fprintf(&policies, "%s: {module: %q}\n", name, guests.File(t, guests.Module(t, name)))
	}
	return map[string]string{"policies": policies.String()}
}

// TestMisbehaviourCostsOneRequest lets guests go wrong in every way there is. Each gets its request
// refused with code 500, by a policy that goes on serving, beside one that never notices.
func TestMisbehaviourCostsOneRequest(t *testing.T) {
	t.Parallel()
	misbehaving := map[string]string{
		"traps":             "internal server error: Guest call failure: wasm trap: unreachable",
		"traps_after_print": "internal server error: Guest call failure: wasm trap: unreachable",
		"answers_not_json":  "internal server error: invalid response from policy: ",
		"answers_too_much":  "internal server error: Guest call failure: response of 16777217 bytes exceeds the limit",
		"exits":             "internal server error: Guest call failure: guest exited with code 3",
		"unknown_host_call": "internal server error: Guest call failure: Policy has not been granted access to the 'no-such-capability/none' host capability.",
		"guest_error":       "internal server error: Guest call failure:  out of luck ",
		"loops_forever":     "Policy execution interrupted because it exceeded the allowed execution time",
		"sleeps":            "Policy execution interrupted because it exceeded the allowed execution time",
		"recurses_forever":  "", // the end of its stack or of its time, whichever comes first on this machine
		"bad_pointer":       "internal server error: Guest call failure: out of bounds memory access",
		"wasi_exits":        "nope",
	}
	names := []string{"accepts"}
	for name := range misbehaving {
		names = append(names, name)
	}
	s := started(t, launch(t, unverified(t, names...), "--policy-timeout", "1"))
	for name, want := range misbehaving {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			for range 2 {
				status, body := s.post(t, "/validate/"+name, []byte(pod))
				response := apiserver.Check(t, []byte(pod), body)
				if status != 200 || response.Allowed || response.Result.Code != 500 || !strings.HasPrefix(response.Result.Message, want) {
					t.Errorf("%d %s, want %s", status, body, want)
				}
				status, body = s.post(t, "/validate/accepts", []byte(pod))
				if response := apiserver.Check(t, []byte(pod), body); status != 200 || !response.Allowed {
					t.Errorf("the policy beside it: %d %s", status, body)
				}
			}
		})
	}
}

// TestWhatGuestsPrintIsLogged holds that a guest's last words reach the operator.
func TestWhatGuestsPrintIsLogged(t *testing.T) {
	t.Parallel()
	s := started(t, launch(t, unverified(t, "traps_after_print")))
	s.post(t, "/validate/traps_after_print", []byte(pod))
	s.stop(t)
	if want := `policy_id="traps_after_print" printed="panic: out of luck :-("`; !strings.Contains(s.output.String(), want) {
		t.Errorf("log lacks %s:\n%s", want, s.output.String())
	}
}

// TestRequestsThatAreNone holds the statuses of everything that is no question to a policy.
func TestRequestsThatAreNone(t *testing.T) {
	t.Parallel()
	s := started(t, launch(t, unverified(t, "accepts")))
	for path, c := range map[string]struct {
		body   string
		status int
		want   string
	}{
		"/validate/does_not_exist":     {pod, 404, `{"message":"unknown policy: does_not_exist","status":404}`},
		"/audit/does_not_exist":        {pod, 404, `{"message":"unknown policy: does_not_exist","status":404}`},
		"/validate_raw/does_not_exist": {pod, 404, `{"message":"unknown policy: does_not_exist","status":404}`},
		"/validate/accepts":            {"{}", 422, "{\"message\":\"Failed to deserialize the JSON body into the target type: missing field `request` at line 1 column 2\",\"status\":422}"},
		"/audit/accepts":               {"{}", 422, "{\"message\":\"Failed to deserialize the JSON body into the target type: missing field `request` at line 1 column 2\",\"status\":422}"},
		"/validate_raw/accepts":        {"{", 400, `{"message":"Failed to parse the request body as JSON: EOF while parsing an object at line 1 column 1","status":400}`},
		"/validate/accepts/more":       {pod, 404, ``},
	} {
		if status, body := s.post(t, path, []byte(c.body)); status != c.status || string(body) != c.want {
			t.Errorf("%s: %d %s, want %d %s", path, status, body, c.status, c.want)
		}
	}
	s.stop(t)
}

// TestSecondSignal stops a server whose guest sleeps on, and then wants no more of waiting.
func TestSecondSignal(t *testing.T) {
	t.Parallel()
	s := started(t, launch(t, unverified(t, "sleeps"), "--policy-timeout", "60"))
	go func() { // it gets no answer
		response, err := http.Post(s.url+"/validate/sleeps", "application/json", strings.NewReader(pod))
		if err == nil {
			_ = response.Body.Close()
		}
	}()
	time.Sleep(500 * time.Millisecond) // until the guest sleeps
	for _, wanted := range []string{"shutting down", ""} {
		if err := s.command.Process.Signal(syscall.SIGTERM); err != nil {
			t.Fatal(err)
		}
		for range 100 {
			if wanted != "" && strings.Contains(s.output.String(), wanted) {
				break
			}
			select {
			case <-s.ended:
			case <-time.After(50 * time.Millisecond):
			}
		}
	}
	select {
	case <-s.ended:
	default:
		t.Errorf("it goes on:\n%s", s.output.String())
	}
}

// TestSIGTERMLosesNothing stops the server while a request is in flight; the request gets its
// verdict.
func TestSIGTERMLosesNothing(t *testing.T) {
	t.Parallel()
	s := started(t, launch(t, unverified(t, "sleeps"), "--policy-timeout", "2"))
	arrived, answered := make(chan struct{}), make(chan string, 1)
	// The server says 100 Continue when its handler begins to read the body: the request is in
	// flight from then on.
	trace := httptrace.WithClientTrace(t.Context(), &httptrace.ClientTrace{Got100Continue: func() { close(arrived) }})
	request, err := http.NewRequestWithContext(trace, http.MethodPost, s.url+"/validate/sleeps", strings.NewReader(pod))
	if err != nil {
		t.Fatal(err)
	}
	request.Header.Set("Content-Type", "application/json")
	request.Header.Set("Expect", "100-continue")
	go func() {
		client := &http.Client{Transport: &http.Transport{ExpectContinueTimeout: time.Minute}}
		response, err := client.Do(request)
		if err != nil {
			answered <- err.Error()
			return
		}
		defer response.Body.Close()
		body, err := io.ReadAll(response.Body)
		answered <- fmt.Sprint(string(body), err)
	}()
	<-arrived
	s.stop(t)
	if body := <-answered; !strings.Contains(body, "exceeded the allowed execution time") {
		t.Errorf("the request in flight got %q", body)
	}
}

// TestSIGTERMWhileStarting stops a server whose registry says nothing. It does not call that the
// registry's fault.
func TestSIGTERMWhileStarting(t *testing.T) {
	t.Parallel()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	s := launch(t, map[string]string{"policies": fmt.Sprintf("p: {module: %q}", listener.Addr().String()+"/p:v1")}, "--continue-on-errors")
	conn, err := listener.Accept()
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	if err := s.command.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	output := refusedToStart(t, s)
	if !strings.Contains(output, " INFO policy_server: policies download ") || !strings.Contains(output, ` policies_count=1 status="init"`) {
		t.Errorf("nobody reads what it waited for:\n%s", output)
	}
	if !strings.HasSuffix(output, "\nError: stopped before anything was served: terminated signal received\n") || strings.Contains(output, "ERROR") {
		t.Errorf("got\n%s", output)
	}
}

// TestCtrlC interrupts a pull from a registry that says nothing. Nothing but that is complained
// about.
func TestCtrlC(t *testing.T) {
	t.Parallel()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	printed := new(buffer)
	pull := exec.Command(filepath.Join(plain, "policyctl"), "pull", listener.Addr().String()+"/p:v1")
	pull.Stdout, pull.Stderr = printed, printed
	pull.Env = append(os.Environ(), "XDG_CACHE_HOME="+t.TempDir(), "XDG_CONFIG_HOME="+t.TempDir())
	if err := pull.Start(); err != nil {
		t.Fatal(err)
	}
	conn, err := listener.Accept()
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	if err := pull.Process.Signal(os.Interrupt); err != nil {
		t.Fatal(err)
	}
	if err := pull.Wait(); pull.ProcessState.ExitCode() != 1 || printed.String() != "Error: stopped: interrupt signal received\n" {
		t.Errorf("ended with %v:\n%s", err, printed.String())
	}
}

// TestOnePolicyFails holds the two ways to start when a policy does not load.
func TestOnePolicyFails(t *testing.T) {
	t.Parallel()
	files := unverified(t, "accepts", "settings_invalid")
	output := refusedToStart(t, launch(t, files))
	if !strings.Contains(output, `Error: policy "settings_invalid": check settings: Policy settings are invalid: no settings please this guest`) {
		t.Errorf("got\n%s", output)
	}
	s := started(t, launch(t, files, "--continue-on-errors"))
	if _, body := s.post(t, "/validate/accepts", []byte(pod)); !strings.Contains(string(body), `"allowed":true`) {
		t.Errorf("the good one: %s", body)
	}
	if _, body := s.post(t, "/validate/settings_invalid", []byte(pod)); !strings.Contains(string(body), `"message":"Policy settings are invalid: no settings please this guest","code":500`) {
		t.Errorf("the bad one: %s", body)
	}
	s.stop(t)
}

// TestBombs holds that a module which takes the compiler too much fails by name, and neither stops
// the others nor the server's end.
func TestBombs(t *testing.T) {
	t.Parallel()
	bomb, err := guests.Bomb()
	if err != nil {
		t.Fatal(err)
	}
	files := unverified(t, "accepts", "rejects")
	files["policies"] += fmt.Sprintf("bomb: {module: %q}\n", guests.File(t, bomb))
	for flag, c := range map[string]struct{ value, reason string }{
		"--compile-timeout": {"2", "compiling it took longer than 2s"},
		"--compile-memory":  {"268435456", "compiling it took more than 268435456 bytes of memory"},
	} {
		s := started(t, launchFrom(t, plain, files, "--continue-on-errors", flag, c.value))
		for policy, want := range map[string]string{
			"accepts": `"allowed":true`, "rejects": `"allowed":false`,
			"bomb": `"message":"bootstrap failure: bomb: policy \"bomb\": compile: cannot compile module: ` + c.reason + `","code":500`,
		} {
			if _, body := s.post(t, "/validate/"+policy, []byte(pod)); !strings.Contains(string(body), want) {
				t.Errorf("%s: %s: %s", flag, policy, body)
			}
		}
		if output := s.output.String(); !strings.Contains(output, flag+" gives it more") {
			t.Errorf("no hint in\n%s", output)
		}
		s.stop(t)
	}
	if output := refusedToStart(t, launchFrom(t, plain, files, "--compile-timeout", "1")); !strings.Contains(output, `policy "bomb": compile: cannot compile module: compiling it took longer than 1s`) {
		t.Errorf("got\n%s", output)
	}
	s := launchFrom(t, plain, files)
	s.waitFor(t, `policy_id="accepts" module=`)
	began := time.Now()
	if err := s.command.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	if output := refusedToStart(t, s); !strings.Contains(output, "stopped before anything was served") || time.Since(began) > 30*time.Second {
		t.Errorf("after %s:\n%s", time.Since(began), output)
	}
}

// TestStalledReader has nobody read the server's log. Requests are answered all the same, and
// SIGTERM ends the server.
func TestStalledReader(t *testing.T) {
	t.Parallel()
	folder := t.TempDir()
	policies := filepath.Join(folder, "policies.yml")
	if err := os.WriteFile(policies, []byte(unverified(t, "accepts")["policies"]), 0o600); err != nil {
		t.Fatal(err)
	}
	free, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	_, port, _ := net.SplitHostPort(free.Addr().String())
	if err := free.Close(); err != nil {
		t.Fatal(err)
	}
	command := exec.Command(filepath.Join(watchful, "policy-server"), "--addr", "127.0.0.1", "--port", port, "--readiness-probe-port", "0", "--lame-duck", "0",
		"--policies", policies, "--policies-download-dir", folder)
	reader, err := command.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	defer reader.Close()
	if err := command.Start(); err != nil {
		t.Fatal(err)
	}
	ended := make(chan struct{})
	go func() {
		_, _ = command.Process.Wait()
		close(ended)
	}()
	defer func() { _ = command.Process.Kill() }()
	url, answered := "http://127.0.0.1:"+port+"/validate/accepts", 0
	for range 600 { // a line each, of which a pipe takes some two hundred
		ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
		request, err := http.NewRequestWithContext(ctx, http.MethodPost, url, strings.NewReader(pod))
		if err != nil {
			t.Fatal(err)
		}
		request.Header.Set("Content-Type", "application/json")
		response, err := http.DefaultClient.Do(request)
		if err == nil {
			_, _ = io.Copy(io.Discard, response.Body)
			_ = response.Body.Close()
			answered++
		} else if answered > 0 {
			t.Fatalf("after %d answers: %v", answered, err)
		} else {
			time.Sleep(100 * time.Millisecond) // it is not up yet
		}
		cancel()
	}
	if answered < 500 {
		t.Errorf("%d answers", answered)
	}
	if err := command.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	select {
	case <-ended:
	case <-time.After(30 * time.Second):
		t.Error("SIGTERM does not end it")
	}
}
