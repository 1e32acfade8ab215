package sdktest_test

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"policy-server/sdk"
	"policy-server/sdk/sdktest"
)

// scripted is a policy that does what the settings say, so that a test can have any answer.
func scripted(r sdk.Request) sdk.Response {
	settings := r.Settings()
	if text, ok := settings.Get("panic").Text(); ok {
		panic(text)
	}
	if host, ok := settings.Get("lookup").Text(); ok {
		ips, err := sdk.LookupHost(host)
		if err != nil {
			return sdk.Fail(err)
		}
		return sdk.Accept().WithMessage(strings.Join(ips, " "))
	}
	if image, ok := settings.Get("image").Text(); ok {
		return verified(image)
	}
	if object := settings.Get("mutate"); object.Exists() {
		return sdk.Mutate(object)
	}
	if settings.Get("echo").IsTrue() {
		return sdk.Reject(r.Raw().Raw())
	}
	sdk.Info("accepted")
	return sdk.Accept().WithWarnings("w").WithAuditAnnotation("a", "1")
}

func checkScript(settings sdk.Value) error {
	if text, ok := settings.Get("refuse").Text(); ok {
		return errors.New(text)
	}
	return nil
}

func TestMain(m *testing.M) {
	sdk.Register(sdk.Policy{Validate: scripted, CheckSettings: checkScript})
	os.Exit(m.Run())
}

func TestEvaluate(t *testing.T) {
	answer, err := sdktest.Evaluate(`{}`, ``)
	if err != nil || !answer.Accepted || answer.AuditAnnotations["a"] != "1" || len(answer.Warnings) != 1 {
		t.Errorf("answer %+v, error %v", answer, err)
	}
	answer, err = sdktest.Evaluate(`{"a":1}`, `{"mutate":{"a":2}}`)
	if err != nil || string(answer.MutatedObject) != `{"a":2}` {
		t.Errorf("answer %+v, error %v", answer, err)
	}
}

func TestEvaluateShowsWhatTheHostPasses(t *testing.T) {
	for name, c := range map[string]struct{ request, seen string }{
		"raw":    {`{"a":null}`, `{"a":null}`},
		"review": {`{"kind":"AdmissionReview","request":{"uid":"u","userInfo":{"username":"a","uid":null},"oldObject":null,"object":{"x":null}}}`, `{"uid":"u","userInfo":{"username":"a"},"object":{"x":null}}`},
	} {
		t.Run(name, func(t *testing.T) {
			if answer, err := sdktest.Evaluate(c.request, `{"echo":true}`); err != nil || answer.Message != c.seen {
				t.Errorf("the policy saw %s (error %v), expected %s", answer.Message, err, c.seen)
			}
		})
	}
}

func TestEvaluateFails(t *testing.T) {
	for name, c := range map[string]struct{ request, settings, want string }{
		"panic":                {`{}`, `{"panic":"oh"}`, "guest call failure: panic: oh"},
		"host call":            {`{}`, `{"lookup":"a.example"}`, "guest call failure: host call net/v1/dns_lookup_host: nothing answers net/v1/dns_lookup_host in this test"},
		"request is not JSON":  {`{`, `{}`, "request is not JSON"},
		"settings are no JSON": {`{}`, `[]`, "settings are not a JSON object"},
		"empty review":         {`{"kind":"AdmissionReview"}`, `{}`, "review lacks request or userInfo"},
	} {
		t.Run(name, func(t *testing.T) {
			if _, err := sdktest.Evaluate(c.request, c.settings); err == nil || err.Error() != c.want {
				t.Errorf("error is %v, expected %s", err, c.want)
			}
		})
	}
}

func TestCheckSettings(t *testing.T) {
	if err := sdktest.CheckSettings(``); err != nil {
		t.Error(err)
	}
	if err := sdktest.CheckSettings(`{"refuse":"no limit"}`); err == nil || err.Error() != "no limit" {
		t.Errorf("error is %v", err)
	}
	if err := sdktest.CheckSettings(`7`); err == nil {
		t.Error("settings that are no object pass")
	}
}

func TestHost_hammer(t *testing.T) {
	var tests sync.WaitGroup
	for _, ip := range []string{"192.0.2.1", "192.0.2.2", "192.0.2.3"} {
		host := sdktest.Host(func(_, _ string, payload sdk.Value) (sdk.Value, error) {
			if !payload.Is("a.example") {
				return sdk.Value{}, errors.New("unknown host")
			}
			return sdk.JSON(`{"ips":["` + ip + `"]}`), nil
		})
		tests.Go(func() {
			for range 100 {
				if answer, err := host.Evaluate(`{}`, `{"lookup":"a.example"}`); err != nil || answer.Message != ip {
					t.Errorf("answer %+v, error %v, expected %s", answer, err, ip)
				}
			}
		})
	}
	tests.Wait()
}

func TestRunCase(t *testing.T) {
	const review = `{"kind":"AdmissionReview","request":{"uid":"u","userInfo":{},"object":` +
		`{"keep":1.0,"drop":1,"na/me~":"x","list":[1,2,3],"grow":[1],"deep":{"a":1}}}}`
	accepted := `{"uid":"","allowed":true,"auditAnnotations":{"a":"1"},"warnings":["w"]}`
	for name, c := range map[string]struct {
		files map[string]string
		want  string // what the difference begins with; empty for none
	}{
		"accepted":          {map[string]string{"settings.json": `{}`, "request.json": `{}`, "response.json": accepted}, ""},
		"another response":  {map[string]string{"settings.json": `{}`, "request.json": `{"uid":"u"}`, "response.json": accepted}, "response is\n"},
		"refused settings":  {map[string]string{"settings.json": `{"refuse":"no"}`, "error.txt": "no\n"}, ""},
		"another refusal":   {map[string]string{"settings.json": `{"refuse":"no"}`, "error.txt": "never"}, "settings are refused with\nno"},
		"no refusal":        {map[string]string{"settings.json": `{}`, "error.txt": "no"}, "settings are accepted"},
		"refused, unwanted": {map[string]string{"settings.json": `{"refuse":"no"}`, "request.json": `{}`, "response.json": accepted}, "settings are refused: no"},
		"no response":       {map[string]string{"settings.json": `{}`, "request.json": `{}`}, "open "},
		"mutation of nothing": {map[string]string{
			"settings.json": `{"mutate":{}}`, "request.json": `{"kind":"AdmissionReview","request":{"userInfo":{},"object":null}}`, "response.json": `{}`,
		}, "policy mutates an object that is not there"},
		"mutation to the same": {map[string]string{
			"settings.json": `{"mutate":{"b":[1],"a":{}}}`, "request.json": `{"a":{},"b":[1]}`,
			"response.json": `{"uid":"","allowed":true,"auditAnnotations":null,"warnings":null}`,
		}, ""},
		"patch": {map[string]string{
			"settings.json": `{"mutate":{"keep":1,"na/me~":"y","list":[1,4],"grow":[1,2,{"b":0}],"deep":[],"new":null}}`,
			"request.json":  review,
			"response.json": `{"uid":"u","allowed":true,"patchType":"JSONPatch","patch":[
				{"op":"replace","path":"/deep","value":[]},
				{"op":"add","path":"/grow/1","value":2},
				{"op":"add","path":"/grow/2","value":{"b":0}},
				{"op":"replace","path":"/keep","value":1},
				{"op":"replace","path":"/list/1","value":4},
				{"op":"remove","path":"/list/2"},
				{"op":"replace","path":"/na~1me~0","value":"y"},
				{"op":"add","path":"/new","value":null},
				{"op":"remove","path":"/drop"}
			],"auditAnnotations":null,"warnings":null}`,
		}, ""},
	} {
		t.Run(name, func(t *testing.T) {
			folder := t.TempDir()
			for file, text := range c.files {
				if err := os.WriteFile(filepath.Join(folder, file), []byte(text), 0o600); err != nil {
					t.Fatal(err)
				}
			}
			err := sdktest.Host(nil).RunCase(folder)
			switch {
			case c.want == "" && err != nil:
				t.Error(err)
			case c.want != "" && (err == nil || !strings.HasPrefix(err.Error(), c.want)):
				t.Errorf("difference is %v, expected %q", err, c.want)
			}
		})
	}
}
