package session_test

import (
	"context"
	"encoding/json"
	"errors"
	"strings"
	"testing"

	"go.uber.org/zap"

	"policy-server/hostcalls"
	exchanges "policy-server/hostcalls/session"
)

func text(s string) *string { return &s }

// questions are one of each kind of value a question can have, and how a session file puts it.
func questions() map[string]struct {
	asked   hostcalls.Question
	written string
} {
	return map[string]struct {
		asked   hostcalls.Question
		written string
	}{
		"texts, null and false": {hostcalls.Question{Variant: "KubernetesGetResource", Fields: hostcalls.Fields{
			{Name: "api_version", Value: "v1"}, {Name: "kind", Value: "Namespace"}, {Name: "name", Value: "test-policy"}, {Name: "namespace", Value: (*string)(nil)},
			{Name: "disable_cache", Value: false}, {Name: "field_masks", Value: hostcalls.Set(nil)},
		}}, "!KubernetesGetResource\napi_version: v1\nkind: Namespace\nname: test-policy\nnamespace: null\ndisable_cache: false\nfield_masks: null\n"},
		"texts that look like something else": {hostcalls.Question{Variant: "KubernetesGetResource", Fields: hostcalls.Fields{
			{Name: "api_version", Value: "v1"}, {Name: "kind", Value: "true"}, {Name: "name", Value: "null"}, {Name: "namespace", Value: text("007")}, {Name: "disable_cache", Value: true},
		}}, "!KubernetesGetResource\napi_version: v1\nkind: \"true\"\nname: \"null\"\nnamespace: \"007\"\ndisable_cache: true\n"},
		"a set": {hostcalls.Question{Variant: "KubernetesListResourceAll", Fields: hostcalls.Fields{
			{Name: "api_version", Value: "v1"}, {Name: "kind", Value: "Pod"}, {Name: "field_masks", Value: hostcalls.Set{"b.c", "a", "a"}},
		}}, "!KubernetesListResourceAll\napi_version: v1\nkind: Pod\nfield_masks:\n  - a\n  - b.c\n"},
		"parts": {hostcalls.Question{Variant: "KubernetesCanI", Fields: hostcalls.Fields{
			{Name: "request", Value: hostcalls.Fields{{Name: "groups", Value: []string{"b", "a"}}, {Name: "resource_attributes", Value: hostcalls.Fields{{Name: "verb", Value: "get"}}}, {Name: "user", Value: "u"}}},
			{Name: "disable_cache", Value: false},
		}}, "!KubernetesCanI\nrequest:\n  groups:\n    - b\n    - a\n  resource_attributes:\n    verb: get\n  user: u\ndisable_cache: false\n"},
		"bytes and lists of parts": {hostcalls.Question{Variant: "CryptoIsCertificateTrusted", Fields: hostcalls.Fields{
			{Name: "request", Value: hostcalls.Fields{{Name: "cert", Value: hostcalls.Fields{{Name: "encoding", Value: "Der"}, {Name: "data", Value: hostcalls.Bytes{0, 45, 255}}}},
				{Name: "cert_chain", Value: []hostcalls.Fields{{{Name: "encoding", Value: "Pem"}, {Name: "data", Value: hostcalls.Bytes{}}}}}, {Name: "not_after", Value: (*string)(nil)}}},
		}}, "!CryptoIsCertificateTrusted\nrequest:\n  cert:\n    encoding: Der\n    data: [0, 45, 255]\n  cert_chain:\n    - encoding: Pem\n      data: []\n  not_after: null\n"},
		"lists of bytes": {hostcalls.Question{Variant: "SigstoreCertificateVerify", Fields: hostcalls.Fields{
			{Name: "image", Value: "busybox"}, {Name: "certificate", Value: hostcalls.Bytes{45}}, {Name: "certificate_chain", Value: []hostcalls.Bytes{{45, 66}, {}}},
			{Name: "require_rekor_bundle", Value: true},
		}}, "!SigstoreCertificateVerify\nimage: busybox\ncertificate: [45]\ncertificate_chain:\n  - [45, 66]\n  - []\nrequire_rekor_bundle: true\n"},
		"a map": {hostcalls.Question{Variant: "SigstorePubKeyVerify", Fields: hostcalls.Fields{
			{Name: "image", Value: "busybox"}, {Name: "pub_keys", Value: []string{"-----BEGIN\nkey\n"}}, {Name: "annotations", Value: map[string]string{"env": "prod", "a": "1"}},
		}}, "!SigstorePubKeyVerify\nimage: busybox\npub_keys:\n  - |\n    -----BEGIN\n    key\nannotations:\n  a: \"1\"\n  env: prod\n"},
		"numbers": {hostcalls.Question{Variant: "HasKubernetesListResourceAllResultChangedSinceInstant", Fields: hostcalls.Fields{
			{Name: "api_version", Value: "v1"}, {Name: "kind", Value: "Pod"}, {Name: "since", Value: hostcalls.Fields{{Name: "secs", Value: int64(7)}, {Name: "nanos", Value: int64(0)}}},
		}}, "!HasKubernetesListResourceAllResultChangedSinceInstant\napi_version: v1\nkind: Pod\nsince:\n  secs: 7\n  nanos: 0\n"},
		"nothing of each": {hostcalls.Question{Variant: "SigstorePubKeyVerify", Fields: hostcalls.Fields{
			{Name: "image", Value: "busybox"}, {Name: "pub_keys", Value: []string{}}, {Name: "annotations", Value: map[string]string(nil)}, {Name: "a", Value: []hostcalls.Fields(nil)}, {Name: "b", Value: []string(nil)}, {Name: "c", Value: hostcalls.Bytes(nil)}, {Name: "d", Value: []hostcalls.Bytes(nil)},
		}}, "!SigstorePubKeyVerify\nimage: busybox\npub_keys: []\nannotations: null\na: null\nb: null\nc: null\nd: null\n"},
	}
}

// asking returns a dispatcher whose only capability asks asked, and answers with answer or failure.
func asking(asked hostcalls.Question, answer string, failure error) *hostcalls.Dispatcher {
	return hostcalls.NewDispatcher([]hostcalls.Capability{{
		Path: hostcalls.NetLookupHost,
		Understand: func([]byte) (hostcalls.Request, error) {
			return hostcalls.Request{Question: asked, Perform: func(context.Context) ([]byte, error) { return []byte(answer), failure }}, nil
		},
	}}, zap.NewNop())
}

func call(t *testing.T, d *hostcalls.Dispatcher) (string, error) {
	t.Helper()
	grants, err := hostcalls.ParseGrants([]string{"net/*"})
	if err != nil {
		t.Fatal(err)
	}
	answer, err := d.Evaluation("p", grants, nil).Call(t.Context(), "net", "v1/dns_lookup_host", nil)
	return string(answer), err
}

func replayer(t *testing.T, session string) *exchanges.Replayer {
	t.Helper()
	r, err := exchanges.Parse([]byte(session))
	if err != nil {
		t.Fatalf("%v in\n%s", err, session)
	}
	return r
}

// exchange is a session file with one exchange, whose request is a literal block.
func exchange(request string) string {
	return "- type: Exchange\n  request: |\n    " + strings.ReplaceAll(strings.TrimSuffix(request, "\n"), "\n", "\n    ") +
		"\n  response:\n    type: Success\n    payload: '{\"a\":1}'\n"
}

func TestRecording(t *testing.T) {
	for name, c := range questions() {
		t.Run(name, func(t *testing.T) {
			var recorder exchanges.Recorder
			if _, err := call(t, asking(c.asked, `{"a":1}`, nil).With(recorder.Through)); err != nil {
				t.Fatal(err)
			}
			session, err := recorder.Session()
			if err != nil {
				t.Fatal(err)
			}
			if want := exchange(c.written); !sameExchanges(string(session), want) {
				t.Errorf("session is\n%s\nexpected\n%s", session, want)
			}
			t.Run("55 and replayed", func(t *testing.T) {
				r := replayer(t, string(session))
				if answer, err := call(t, asking(c.asked, "", errors.New("asked the world")).With(r.Through)); err != nil || answer != `{"a":1}` || r.Left() != 0 {
					t.Errorf("answer %s, %v, %d exchanges left", answer, err, r.Left())
				}
			})
		})
	}
}

// sameExchanges compares session files but for the indentation of YAML, which is the library's.
func sameExchanges(a, b string) bool {
	return strings.Join(strings.Fields(a), " ") == strings.Join(strings.Fields(b), " ")
}

func TestRecording_failures(t *testing.T) {
	asked := questions()["a set"].asked
	var recorder exchanges.Recorder
	_, err := call(t, asking(asked, "", errors.New("cannot reach registry")).With(recorder.Through))
	if err == nil || err.Error() != "Callback evaluation failure: cannot reach registry" {
		t.Errorf("while recording: %v", err)
	}
	session, err := recorder.Session()
	if err != nil || !strings.Contains(string(session), "type: Error") {
		t.Fatalf("session %s, %v", session, err)
	}
	if _, err := call(t, asking(asked, "", nil).With(replayer(t, string(session)).Through)); err == nil || err.Error() != "Callback evaluation failure: cannot reach registry" {
		t.Errorf("56: %v", err)
	}
	if _, err := call(t, asking(asked, "\xff", nil).With(recorder.Through)); err != nil {
		t.Errorf("the evaluation suffers: %v", err)
	}
	if session, err := recorder.Session(); err == nil {
		t.Errorf("what is not text is recorded: %s", session)
	}
	if session, err := new(exchanges.Recorder).Session(); err != nil || string(session) != "[]\n" {
		t.Errorf("session of nothing: %s, %v", session, err)
	}
}

func TestReplaying(t *testing.T) {
	get := questions()["texts, null and false"].asked
	list := hostcalls.Question{Variant: "KubernetesListResourceAll", Fields: hostcalls.Fields{
		{Name: "api_version", Value: "v1"}, {Name: "kind", Value: "Pod"}, {Name: "field_masks", Value: hostcalls.Set{"b", "a", "b"}}}}
	manifest := hostcalls.Question{Variant: "OciManifestDigest", Fields: hostcalls.Fields{{Name: "image", Value: "busybox"}}}
	const getText = "!KubernetesGetResource {api_version: v1, kind: Namespace, name: test-policy, disable_cache: false}"
	for name, c := range map[string]struct {
		request string
		asked   hostcalls.Question
		same    bool
	}{
		"54 missing fields":             {getText, get, true},
		"54 nulls, another order":       {"!KubernetesGetResource\nname: test-policy\nnamespace: ~\nkind: Namespace\ndisable_cache: false\napi_version: v1\nfield_masks:\n", get, true},
		"unknown keys":                  {strings.Replace(getText, "{", "{later: [1], ", 1), get, true},
		"another order of masks":        {"!KubernetesListResourceAll {api_version: v1, kind: Pod, field_masks: [a, b]}", list, true},
		"other masks":                   {"!KubernetesListResourceAll {api_version: v1, kind: Pod, field_masks: [a]}", list, false},
		"no masks":                      {"!KubernetesListResourceAll {api_version: v1, kind: Pod}", list, false},
		"another variant":               {"!OciManifest {image: busybox}", manifest, false},
		"another text":                  {"!OciManifestDigest {image: alpine}", manifest, false},
		"another flag":                  {strings.Replace(getText, "false", "true", 1), get, false},
		"a field that was not asked":    {strings.Replace(getText, "{", "{namespace: x, ", 1), get, false},
		"empty masks are not no masks":  {strings.Replace(getText, "{", "{field_masks: [], ", 1), get, false},
		"a list where a text should be": {"!OciManifestDigest {image: [busybox]}", manifest, false},
	} {
		t.Run(name, func(t *testing.T) {
			request, err := json.Marshal(c.request) // a quoted scalar, which is YAML too
			if err != nil {
				t.Fatal(err)
			}
			r := replayer(t, `[{"type":"Exchange","request":`+string(request)+`,"response":{"type":"Success","payload":"p"}}]`)
			answer, err := call(t, asking(c.asked, "", nil).With(r.Through))
			var unexpected *exchanges.UnexpectedError
			switch {
			case c.same && (err != nil || answer != "p"):
				t.Errorf("answer %s, %v", answer, err)
			case !c.same && (!errors.As(err, &unexpected) || !strings.Contains(err.Error(), "Replay error: unexpected request. Was expecting !")):
				t.Errorf("answer %s, %v", answer, err)
			}
			if _, err := call(t, asking(c.asked, "", nil).With(r.Through)); err == nil || !strings.Contains(err.Error(), "the list of recorded responses is empty") {
				t.Errorf("53, 55: the exchange was not used up: %v", err)
			}
		})
	}
	t.Run("in order", func(t *testing.T) {
		r := replayer(t, exchange("!OciManifestDigest\nimage: busybox\n")+exchange(getText))
		if r.Left() != 2 {
			t.Errorf("%d exchanges", r.Left())
		}
		for _, asked := range []hostcalls.Question{manifest, get} {
			if _, err := call(t, asking(asked, "", nil).With(r.Through)); err != nil {
				t.Error(err)
			}
		}
	})
	t.Run("54 folded", func(t *testing.T) {
		r := replayer(t, "- type: Exchange\n  request: >\n    !OciManifestDigest\n\n    image: busybox\n  response: {type: Success, payload: p}\n")
		if _, err := call(t, asking(manifest, "", nil).With(r.Through)); err != nil {
			t.Error(err)
		}
	})
}

// What is denied or not understood is not the session's business.
func TestReplaying_deniedBefore(t *testing.T) {
	r := replayer(t, exchange("!OciManifestDigest\nimage: busybox\n"))
	d := asking(hostcalls.Question{}, "", nil).With(r.Through)
	var denied *hostcalls.DeniedError
	if _, err := d.Evaluation("p", hostcalls.Grants{}, nil).Call(t.Context(), "net", "v1/dns_lookup_host", nil); !errors.As(err, &denied) || r.Left() != 1 {
		t.Errorf("error %v, %d exchanges left", err, r.Left())
	}
}

func TestParseSession_refuses(t *testing.T) {
	const response = ", response: {type: Success, payload: p}"
	for name, c := range map[string]struct{ session, want string }{
		"no list":           {"a: 1", "cannot unmarshal"},
		"not YAML":          {"[", "did not find"},
		"another type":      {"[{type: Comment, request: '!DNSLookupHost {host: a}'" + response + "}]", `[0]: type: unknown variant "Comment", expected Exchange`},
		"no request":        {"[{type: Exchange" + response + "}]", "[0]: request: "},
		"untagged":          {"[{type: Exchange, request: 'DNSLookupHost: {host: a}'" + response + "}]", "begins with no known tag"},
		"unknown tag":       {"[{type: Exchange, request: '!Moon {host: a}'" + response + "}]", "begins with no known tag"},
		"not a mapping":     {"[{type: Exchange, request: '!DNSLookupHost a'" + response + "}]", "is not a mapping"},
		"missing field":     {"[{type: Exchange, request: '!OciManifest {img: a}'" + response + "}]", "[0]: request: !OciManifest: missing field `image`"},
		"request not YAML":  {"[{type: Exchange, request: '!DNSLookupHost {'" + response + "}]", "[0]: request: "},
		"no payload":        {"[{type: Exchange, request: '!DNSLookupHost {host: a}', response: {type: Success}}]", "missing field `payload`"},
		"no message":        {"[{type: Exchange, request: '!DNSLookupHost {host: a}', response: {type: Error}}]", "missing field `message`"},
		"no response":       {"[{type: Exchange, request: '!DNSLookupHost {host: a}'}]", "response: unknown variant"},
		"the second of two": {"[{type: Exchange, request: '!DNSLookupHost {host: a}'" + response + "}, {}]", "[1]: type"},
	} {
		t.Run(name, func(t *testing.T) {
			if _, err := exchanges.Parse([]byte(c.session)); err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("error is %v, expected %q", err, c.want)
			}
		})
	}
	if r := replayer(t, ""); r.Left() != 0 {
		t.Error("an empty file has exchanges")
	}
}

// FuzzParseSession holds that no session file does harm, and that what one says can be compared
// with every question.
func FuzzParseSession(f *testing.F) {
	for _, c := range questions() {
		f.Add([]byte(exchange(c.written)))
	}
	f.Add([]byte("- &a {type: Exchange, request: \"!OciManifest &x {image: *x}\", response: {type: Error, message: m}}\n- *a\n"))
	f.Fuzz(func(t *testing.T, session []byte) {
		r, err := exchanges.Parse(session)
		if err != nil {
			return
		}
		for name, c := range questions() {
			if _, err := call(t, asking(c.asked, "", nil).With(r.Through)); err != nil && err.Error() == "" {
				t.Errorf("%s: an error without a text", name)
			}
		}
	})
}

// FuzzRecording holds that any answer to any host name is replayed as it was.
func FuzzRecording(f *testing.F) {
	f.Add("registry.example", `{"ips":["192.0.2.7"]}`)
	f.Add("null", "a\r\nb\x00\ufeff ")
	f.Add("#", "- ")
	f.Fuzz(func(t *testing.T, host, answer string) {
		asked := hostcalls.Question{Variant: "DNSLookupHost", Fields: hostcalls.Fields{{Name: "host", Value: host}}}
		var recorder exchanges.Recorder
		if _, err := call(t, asking(asked, answer, nil).With(recorder.Through)); err != nil {
			t.Fatal(err)
		}
		session, err := recorder.Session()
		if err != nil {
			return // not UTF-8
		}
		got, err := call(t, asking(asked, "", errors.New("asked the world")).With(replayer(t, string(session)).Through))
		if err != nil || got != answer {
			t.Errorf("%q for %q is replayed as %q, %v, from\n%s", answer, host, got, err, session)
		}
	})
}
