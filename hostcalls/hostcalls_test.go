package hostcalls_test

import (
	"context"
	"errors"
	"strings"
	"testing"

	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
	"go.uber.org/zap/zaptest/observer"

	"policy-server/hostcalls"
)

func TestParseGrants(t *testing.T) {
	for name, c := range map[string]struct {
		patterns        []string
		printed         string
		allowed, denied []hostcalls.Path
	}{
		"nothing":     {nil, "[]", nil, hostcalls.Known()},
		"everything":  {[]string{" * ", "not checked"}, "[*]", append(hostcalls.Known(), "oci/v9/new"), nil},
		"a namespace": {[]string{"oci/*"}, "[oci/*]", []hostcalls.Path{"oci/v1/verify", "oci/v2/verify"}, []hostcalls.Path{"net/v1/dns_lookup_host", "oci", "ocix/v1"}},
		"a version":   {[]string{"oci/v2/*"}, "[oci/v2/*]", []hostcalls.Path{"oci/v2/verify"}, []hostcalls.Path{"oci/v1/verify"}},
		"one path":    {[]string{"kubernetes/can_i"}, "[kubernetes/can_i]", []hostcalls.Path{"kubernetes/can_i"}, []hostcalls.Path{"kubernetes/get_resource"}},
		"several, sorted, once each": {[]string{"oci/v1/verify", "net/*", " oci/v1/verify", "crypto/*"}, "[crypto/*, net/*, oci/v1/verify]",
			[]hostcalls.Path{"oci/v1/verify", "net/v1/dns_lookup_host"}, []hostcalls.Path{"oci/v2/verify"}},
	} {
		t.Run(name, func(t *testing.T) {
			grants, err := hostcalls.ParseGrants(c.patterns)
			if err != nil {
				t.Fatal(err)
			}
			if grants.String() != c.printed {
				t.Errorf("printed %s, want %s", grants, c.printed)
			}
			for _, path := range c.allowed {
				if !grants.Allow(path) {
					t.Errorf("%s is not allowed", path)
				}
			}
			for _, path := range c.denied {
				if grants.Allow(path) {
					t.Errorf("%s is allowed", path)
				}
			}
		})
	}
}

func TestParseGrants_refuses(t *testing.T) {
	for pattern, want := range map[string]string{
		"  ":                    `invalid pattern: pattern must not be empty`,
		"oci*":                  `invalid pattern "oci*": wildcard '*' must be the entire last path segment (e.g. 'oci/*'), not a partial match`,
		"oci/v1/oci_*":          `invalid pattern "oci/v1/oci_*": wildcard '*' must be the entire last path segment (e.g. 'oci/*'), not a partial match`,
		"*/*":                   `invalid pattern "*/*": wildcard '*' must be the entire last path segment (e.g. 'oci/*'), not a partial match`,
		"oci/*/*":               `invalid pattern "oci/*/*": wildcard '*' must be the entire last path segment (e.g. 'oci/*'), not a partial match`,
		"ocx/v1/verify":         `invalid pattern "ocx/v1/verify": unknown segment "ocx", valid options at this level are: crypto, kubernetes, net, oci`,
		"oci/v99/verify":        `invalid pattern "oci/v99/verify": unknown segment "v99", valid options at this level are: v1, v2, v3`,
		"oci/v1/sign":           `invalid pattern "oci/v1/sign": unknown segment "sign", valid options at this level are: manifest_digest, oci_manifest, oci_manifest_config, verify`,
		"oci/v1":                `invalid pattern "oci/v1": not a complete capability path; use "oci/v1/*" to allow all capabilities under it`,
		"oci/v1/verify/*":       `invalid pattern "oci/v1/verify/*": unknown segment "*", valid options at this level are: `,
		"kubernetes/can_i/more": `invalid pattern "kubernetes/can_i/more": unknown segment "more", valid options at this level are: `,
		"tracing/log":           `invalid pattern "tracing/log": unknown segment "tracing", valid options at this level are: crypto, kubernetes, net, oci`,
	} {
		t.Run(pattern, func(t *testing.T) {
			_, err := hostcalls.ParseGrants([]string{"net/*", pattern})
			var typed *hostcalls.PatternError
			if !errors.As(err, &typed) || err.Error() != want {
				t.Errorf("\n got %v\nwant %s", err, want)
			}
		})
	}
}

func FuzzParseGrants(f *testing.F) {
	f.Add("oci/*", "net/v1/dns_lookup_host")
	f.Add("*", "oci/v1")
	f.Fuzz(func(t *testing.T, a, b string) {
		grants, err := hostcalls.ParseGrants([]string{a, b})
		if err != nil {
			return
		}
		printed := strings.Split(strings.Trim(grants.String(), "[]"), ", ")
		again, err := hostcalls.ParseGrants(printed)
		if err != nil || again.String() != grants.String() {
			t.Fatalf("%s reads back as %s, %v", grants, again, err)
		}
	})
}

func TestCall(t *testing.T) {
	capability := func(payload []byte) (hostcalls.Request, error) {
		if len(payload) == 0 {
			return hostcalls.Request{}, errors.New("EOF while parsing")
		}
		return hostcalls.Request{Perform: func(context.Context) ([]byte, error) {
			if string(payload) == "fail" {
				return nil, errors.New("no route")
			}
			return append([]byte("got "), payload...), nil
		}}, nil
	}
	core, logs := observer.New(zapcore.DebugLevel)
	dispatcher := hostcalls.NewDispatcher([]hostcalls.Capability{{Path: hostcalls.NetLookupHost, Understand: capability}}, zap.New(core))
	for name, c := range map[string]struct {
		grant, namespace, operation, payload string
		want, err                            string
	}{
		"granted":                     {"net/*", "net", "v1/dns_lookup_host", "x", "got x", ""},
		"the capability fails":        {"net/*", "net", "v1/dns_lookup_host", "fail", "", "Callback evaluation failure: no route"},
		"empty":                       {"net/*", "net", "v1/dns_lookup_host", "", "", "EOF while parsing"},
		"empty and not granted":       {"oci/*", "net", "v1/dns_lookup_host", "", "", "Policy has not been granted access to the 'net/v1/dns_lookup_host' host capability. The violation has been reported."},
		"not granted":                 {"oci/*", "net", "v1/dns_lookup_host", "x", "", "Policy has not been granted access to the 'net/v1/dns_lookup_host' host capability. The violation has been reported."},
		"unknown and not granted":     {"oci/*", "moon", "v1/phase", "", "", "Policy has not been granted access to the 'moon/v1/phase' host capability. The violation has been reported."},
		"unknown namespace":           {"*", "moon", "v1/phase", "", "", "unknown namespace: moon"},
		"unknown operation":           {"net/*", "net", "v2/whois", "", "", "unknown operation: v2/whois"},
		"known, without an answer":    {"*", "oci", "v2/verify", "", "", `host capability "oci/v2/verify" is not supported yet`},
		"log needs no grant":          {"oci/*", "tracing", "log", "{}", "", ""},
		"nothing else of tracing is":  {"*", "tracing", "spans", "{}", "", "unknown operation: spans"},
		"tracing has no denial texts": {"oci/*", "tracing", "spans", "{}", "", "unknown operation: spans"},
	} {
		t.Run(name, func(t *testing.T) {
			grants, err := hostcalls.ParseGrants([]string{c.grant})
			if err != nil {
				t.Fatal(err)
			}
			got, err := dispatcher.Evaluation("p", grants, nil).Call(t.Context(), c.namespace, c.operation, []byte(c.payload))
			if string(got) != c.want || (err == nil) != (c.err == "") || err != nil && err.Error() != c.err {
				t.Errorf("got %q, %v; want %q, %s", got, err, c.want, c.err)
			}
		})
	}
	denials := logs.FilterMessage("Policy tried to use a host capability it doesn't have access to").All()
	if len(denials) != 3 || denials[0].ContextMap()["policy_id"] != "p" {
		t.Errorf("denials logged: %v", denials)
	}
}

func TestCall_log(t *testing.T) {
	for name, c := range map[string]struct {
		payload string
		level   zapcore.Level
		message string
		data    any
	}{
		"all of it":           {`{"level":"warning","message":"careful\n","pod":"nginx","line":42}`, zapcore.WarnLevel, "careful", `{"line":42,"pod":"nginx"}`},
		"upper case":          {`{"level":"ERROR","message":"m"}`, zapcore.ErrorLevel, "m", nil},
		"Go's warn":           {`{"level":"warn","message":"m"}`, zapcore.WarnLevel, "m", nil},
		"trace is debug":      {`{"level":"trace","message":"m"}`, zapcore.DebugLevel, "m", nil},
		"an invented level":   {`{"level":"shout","message":"m"}`, zapcore.InfoLevel, "m", nil},
		"nothing":             {`{}`, zapcore.InfoLevel, "", nil},
		"message is a number": {`{"message":7}`, zapcore.InfoLevel, "7", nil},
		"rubbish":             {`rubbish`, zapcore.ErrorLevel, "Cannot log event", nil},
		"too long":            {`{"message":"` + strings.Repeat("a", 9000) + `"}`, zapcore.WarnLevel, "guest log line dropped: too long", nil},
	} {
		t.Run(name, func(t *testing.T) {
			core, logs := observer.New(zapcore.DebugLevel)
			caller := hostcalls.NewDispatcher(nil, zap.New(core)).Evaluation("p", hostcalls.Grants{}, nil)
			if answer, err := caller.Call(t.Context(), "tracing", "log", []byte(c.payload)); err != nil || len(answer) != 0 {
				t.Fatalf("%q, %v", answer, err)
			}
			entry := logs.All()[0]
			if entry.Level != c.level || entry.Message != c.message || entry.ContextMap()["policy_id"] != "p" || entry.ContextMap()["data"] != c.data {
				t.Errorf("%v %q %v", entry.Level, entry.Message, entry.ContextMap())
			}
		})
	}
}

func TestCall_logIsBounded(t *testing.T) {
	core, logs := observer.New(zapcore.DebugLevel)
	caller := hostcalls.NewDispatcher(nil, zap.New(core)).Evaluation("p", hostcalls.Grants{}, nil)
	for range 1000 {
		if _, err := caller.Call(t.Context(), "tracing", "log", []byte(`{"message":"again"}`)); err != nil {
			t.Fatal(err)
		}
	}
	if logs.Len() != 100 || logs.All()[99].Message != "guest log cut: too many lines in one evaluation" {
		t.Errorf("%d lines, the last %q", logs.Len(), logs.All()[logs.Len()-1].Message)
	}
}

func TestCall_denialsAreBounded(t *testing.T) {
	granted, err := hostcalls.ParseGrants([]string{"kubernetes/*"})
	if err != nil {
		t.Fatal(err)
	}
	reads := []hostcalls.Capability{{Path: hostcalls.KubernetesGetResource, Understand: func(payload []byte) (hostcalls.Request, error) {
		return hostcalls.Request{Reads: hostcalls.Resource{APIVersion: "v1", Kind: string(payload)}}, nil
	}}}
	core, logs := observer.New(zapcore.DebugLevel)
	dispatcher := hostcalls.NewDispatcher(reads, zap.New(core))
	for range 2 { // each evaluation is heard again
		caller := dispatcher.Evaluation("p", granted, nil)
		for i := range 1000 {
			name := strings.Repeat("a", i)
			if _, err := caller.Call(t.Context(), "oci", name, nil); err == nil {
				t.Fatal("a capability that was not granted was called")
			}
			if _, err := caller.Call(t.Context(), "kubernetes", "get_resource", []byte(name)); err == nil {
				t.Fatal("a kind that was not granted was read")
			}
		}
	}
	if logs.Len() != 20 || logs.All()[9].Message != "further violations are not logged: too many in one evaluation" {
		t.Errorf("%d lines, the last %q", logs.Len(), logs.All()[logs.Len()-1].Message)
	}
	logs.TakeAll()
	if _, err := dispatcher.Evaluation("p", granted, nil).Call(t.Context(), "oci", strings.Repeat("a", 1<<20), nil); err == nil {
		t.Fatal("a capability that was not granted was called")
	}
	if name := logs.All()[0].ContextMap()["capability"].(string); len(name) > 300 {
		t.Errorf("%d bytes of a name are logged", len(name))
	}
}
