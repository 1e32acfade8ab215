package main

import (
	"encoding/pem"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// awareMetadata is that of a policy which reads namespaces.
const awareMetadata = podMetadata + "contextAwareResources: [{apiVersion: v1, kind: Namespace}]\n"

const (
	namespaceFound = `- type: Exchange
  request: |
    !KubernetesGetResource
    api_version: v1
    kind: Namespace
    name: test-policy
    namespace: null
    disable_cache: false
  response:
    type: Success
    payload: '{"apiVersion":"v1","kind":"Namespace","metadata":{"name":"test-policy"}}'
`
	namespaceMissing = `- type: Exchange
  request: "!KubernetesGetResource {api_version: v1, kind: Namespace, name: test-policy, disable_cache: false}"
  response: {type: Error, message: "Cannot find v1/Namespace named 'test-policy' inside of namespace 'None'"}
`
	somethingElse = `- type: Exchange
  request: "!KubernetesGetResource {api_version: v1, kind: Namespace, name: another, disable_cache: false}"
  response: {type: Success, payload: '{}'}
`
)

// rejected is the response to podRequest of a policy whose host call failed.
func rejected(message string) string {
	return fmt.Sprintf(`{"uid":"705ab4f5-6393-11e8-b7cc-42010a800002","allowed":false,"status":{"message":"internal server error: Guest call failure: %s","code":500},"auditAnnotations":null,"warnings":null}`+"\n", message)
}

func TestRun_replay(t *testing.T) {
	u := newUser(t)
	request, aware := u.writes("request.json", podRequest), u.annotated("reads_namespace", awareMetadata)
	for name, c := range map[string]struct {
		session string
		args    []string
		stdout  string
		stderr  string // part of it; "" for nothing to look for
	}{
		"42 found":       {namespaceFound, nil, podAllowed, "INFO kwctl: host capabilities proxy enabled with replay mode"},
		"43 not found":   {namespaceMissing, nil, rejected("Callback evaluation failure: Cannot find v1/Namespace named 'test-policy' inside of namespace 'None'"), ""},
		"53 empty":       {"[]", nil, rejected("Callback evaluation failure: the list of recorded responses is empty"), ""},
		"leftovers":      {namespaceFound + somethingElse, nil, podAllowed, "WARN kwctl: Some of the recorded exchanges have not been replayed"},
		"51 not granted": {namespaceFound, []string{"--allowed-host-capabilities", "oci/*"}, rejected("Policy has not been granted access to the 'kubernetes/get_resource' host capability. The violation has been reported."), "have not been replayed"},
	} {
		t.Run(name, func(t *testing.T) {
			u := u.in(t)
			args := []string{"run", "-r", request, "--allow-context-aware", "--" + replayFlag, u.writes("session.yml", c.session)}
			r := u.must(append(append(args, c.args...), "--", aware)...)
			if r.stdout != c.stdout || !strings.Contains(r.stderr, c.stderr) {
				t.Errorf("stdout %s, stderr %s; want %s", r.stdout, r.stderr, c.stdout)
			}
		})
	}
	t.Run("53 another request", func(t *testing.T) {
		r := u.in(t).must("run", "-r", request, "--allow-context-aware", "--"+replayFlag, u.writes("session.yml", somethingElse), aware)
		if !strings.Contains(r.stdout, `"allowed":false`) || !strings.Contains(r.stdout, "Replay error: unexpected request. Was expecting !KubernetesGetResource") {
			t.Errorf("stdout %s", r.stdout)
		}
	})
	t.Run("kinds are granted all the same", func(t *testing.T) {
		r := u.in(t).must("run", "-r", request, "--"+replayFlag, u.writes("session.yml", namespaceFound), aware)
		if want := rejected("Policy has not been granted access to Kubernetes v1/Namespace resources. The violation has been reported."); r.stdout != want {
			t.Errorf("stdout %s", r.stdout)
		}
	})
	t.Run("no file", func(t *testing.T) {
		u.in(t).does("run", "-r", request, "--"+replayFlag, "none.yml", aware).
			fails(t, `Cannot open host capabilities interactions file "none.yml": No such file or directory`)
	})
	t.Run("no session", func(t *testing.T) {
		file := u.writes("broken.yml", "[{type: Exchange}]")
		u.in(t).does("run", "-r", request, "--"+replayFlag, file, aware).fails(t, fmt.Sprintf("cannot deserialize contents of %q: [0]: ", file))
	})
	t.Run("56 both", func(t *testing.T) {
		u.in(t).does("run", "-r", request, "--"+replayFlag, "a.yml", "--"+recordFlag, "b.yml", aware).refuses(t, "cannot be used with")
	})
}

// startsCluster starts an API server that has the namespace test-policy, and leads KUBECONFIG to
// it.
func (u *user) startsCluster() (stop func()) {
	u.t.Helper()
	server := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch {
		case r.Header.Get("Authorization") != "Bearer of-alice":
			w.WriteHeader(http.StatusUnauthorized)
		case r.URL.Path == "/api/v1":
			_, _ = io.WriteString(w, `{"kind":"APIResourceList","resources":[{"name":"namespaces","kind":"Namespace","namespaced":false}]}`)
		case r.URL.Path == "/api/v1/namespaces/test-policy":
			_, _ = io.WriteString(w, `{"apiVersion":"v1","kind":"Namespace","metadata":{"name":"test-policy"}}`)
		default:
			w.WriteHeader(http.StatusNotFound)
		}
	}))
	u.t.Cleanup(server.Close)
	authority := u.writes("ca.crt", string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: server.Certificate().Raw})))
	u.t.Setenv("KUBECONFIG", u.writes("kubeconfig", fmt.Sprintf(`{apiVersion: v1, kind: Config, current-context: c,
clusters: [{name: c, cluster: {server: %q, certificate-authority: %q}}], users: [{name: c, user: {token: of-alice}}], contexts: [{name: c, context: {cluster: c, user: c}}]}`,
		server.URL, authority)))
	return server.Close
}

func TestRun_record(t *testing.T) {
	u := newUser(t)
	stop := u.startsCluster()
	request, aware := u.writes("request.json", podRequest), u.annotated("reads_namespace", awareMetadata)
	file := filepath.Join(u.dir, "recorded.yml")
	r := u.must("run", "-r", request, "--allow-context-aware", "--"+recordFlag, file, aware)
	for _, said := range []string{"INFO kwctl: host capabilities proxy enabled with record mode", "INFO kwctl: Context aware session saved to file"} {
		if !strings.Contains(r.stderr, said) {
			t.Errorf("stderr lacks %q:\n%s", said, r.stderr)
		}
	}
	if r.stdout != podAllowed {
		t.Errorf("stdout %s", r.stdout)
	}
	if info, err := os.Stat(file); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("the session: %v, %v", info, err)
	}
	stop()
	t.Setenv("KUBECONFIG", "")
	t.Run("55 replayed without a cluster", func(t *testing.T) {
		if r := u.in(t).must("run", "-r", request, "--allow-context-aware", "--"+replayFlag, file, aware); r.stdout != podAllowed {
			t.Errorf("stdout %s", r.stdout)
		}
	})
	t.Run("calls that are denied are not recorded", func(t *testing.T) {
		u.in(t).must("run", "-r", request, "--"+recordFlag, file, aware)
		if session := string(read(t, file)); session != "[]\n" {
			t.Errorf("session is %s", session)
		}
	})
	t.Run("not writable", func(t *testing.T) {
		r := u.in(t).must("run", "-r", request, "--"+recordFlag, filepath.Join(u.dir, "none", "s.yml"), aware)
		if !strings.Contains(r.stderr, "ERROR kwctl: Cannot save context aware session to file") {
			t.Errorf("stderr %s", r.stderr)
		}
	})
	t.Run("no cluster", func(t *testing.T) {
		u.in(t).does("run", "-r", request, "--allow-context-aware", aware).fails(t, "Error: Cannot connect to Kubernetes cluster: find a cluster: ")
	})
}
