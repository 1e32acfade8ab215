package sdk_test

import (
	"errors"
	"slices"
	"testing"

	"policy-server/sdk"
	"policy-server/sdk/internal/wapc"
)

// during runs f as a policy's code while host answers.
func during(t *testing.T, host wapc.Host, f func()) {
	t.Helper()
	p := sdk.Policy{Validate: func(sdk.Request) sdk.Response { f(); return sdk.Accept() }}
	if _, failure := callWith(host, p, "validate", `{"request":{},"settings":{}}`); failure != "" {
		t.Fatal(failure)
	}
}

func TestHostCall(t *testing.T) {
	host := func(namespace, operation, payload string) (string, error) {
		if namespace+"/"+operation == "kubernetes/can_i" && payload == `{"verb":"get"}` {
			return "{\"allowed\":true}\n", nil
		}
		return "", errors.New("unknown namespace: " + namespace)
	}
	during(t, host, func() {
		answer, err := sdk.HostCall("kubernetes", "can_i", sdk.JSON(`{"verb":"get"}`))
		if err != nil || answer.Raw() != `{"allowed":true}` {
			t.Errorf("answer %s, error %v", answer, err)
		}
		_, err = sdk.HostCall("cache", "get", sdk.Quote("key"))
		var refusal *sdk.HostError
		if !errors.As(err, &refusal) || *refusal != (sdk.HostError{Namespace: "cache", Operation: "get", Text: "unknown namespace: cache"}) {
			t.Errorf("error is %v", err)
		}
		if want := "host call cache/get: unknown namespace: cache"; err.Error() != want {
			t.Errorf("error reads %q, expected %q", err, want)
		}
	})
}

func TestHostCallWithoutHost(t *testing.T) {
	if _, err := sdk.HostCall("kubernetes", "can_i", sdk.JSON(`{}`)); err == nil {
		t.Error("somebody answers")
	}
}

func TestLookupHost(t *testing.T) {
	for name, c := range map[string]struct {
		answer string
		err    error
		want   []string
	}{
		"found":       {`{"ips":["192.0.2.7","2001:db8::1"]}`, nil, []string{"192.0.2.7", "2001:db8::1"}},
		"refused":     {"", errors.New("Name or service not known"), nil},
		"empty":       {`{"ips":[]}`, nil, nil},
		"not as told": {`{"ips":[1,2]}`, nil, nil},
	} {
		t.Run(name, func(t *testing.T) {
			asked := ""
			host := func(namespace, operation, payload string) (string, error) {
				asked = namespace + "/" + operation + " " + payload
				return c.answer, c.err
			}
			during(t, host, func() {
				ips, err := sdk.LookupHost("registry.example")
				if !slices.Equal(ips, c.want) || (err == nil) != (c.want != nil) {
					t.Errorf("addresses are %q, error %v, expected %q", ips, err, c.want)
				}
			})
			if want := `net/v1/dns_lookup_host "registry.example"`; asked != want {
				t.Errorf("asked %s, expected %s", asked, want)
			}
		})
	}
}

func TestLogging(t *testing.T) {
	for name, c := range map[string]struct {
		log  func()
		want string
	}{
		"debug":         {func() { sdk.Debug("looking") }, `{"level":"debug","message":"looking"}`},
		"info":          {func() { sdk.Info("looking", "pod", `a"b`) }, `{"level":"info","message":"looking","pod":"a\"b"}`},
		"warn":          {func() { sdk.Warn("odd", "pod", "web", "why") }, `{"level":"warning","message":"odd","pod":"web","why":""}`},
		"error":         {func() { sdk.Error("failed") }, `{"level":"error","message":"failed"}`},
		"reserved keys": {func() { sdk.Info("x", "level", "none", "message", "y") }, `{"level":"info","message":"x","level_":"none","message_":"y"}`},
	} {
		t.Run(name, func(t *testing.T) {
			sent := ""
			host := func(namespace, operation, payload string) (string, error) {
				sent = namespace + "/" + operation + " " + payload
				return "", errors.New("the log is full") // which must not disturb the policy
			}
			during(t, host, c.log)
			if want := "tracing/log " + c.want; sent != want {
				t.Errorf("sent %s, expected %s", sent, want)
			}
		})
	}
}
