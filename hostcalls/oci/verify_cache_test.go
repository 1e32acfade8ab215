package oci_test

import (
	"bytes"
	"context"
	"errors"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/zap"

	"policy-server/hostcalls"
	"policy-server/hostcalls/oci"
	"policy-server/internal/testing/sigstoretest"
)

var unlogged = sigstoretest.How{Log: sigstoretest.NotLogged}

// asks makes a host call of version 2 and expects it to be trusted, or not.
func asks(t *testing.T, v *oci.ImageVerifier, request []byte, trusted bool) {
	t.Helper()
	if _, err := calls(t.Context(), v.V2, request); (err == nil) != trusted {
		t.Errorf("trusted: %t (%v), want %t", err == nil, err, trusted)
	}
}

func TestVerify_onceForParallelRequests(t *testing.T) {
	s, key := newSite(t), newKey(t)
	s.sign(t, s.push(t, "app"), key, unlogged, nil)
	request := keyed(t, s.image("app"), key)
	s.forget()
	asks(t, s.verifier(t, oci.CacheConfig{}), request, true)
	alone := s.requests.Load()

	s.forget()
	v := s.verifier(t, remembering)
	var group sync.WaitGroup
	for range 200 {
		group.Go(func() { asks(t, v, request, true) })
	}
	group.Wait()
	if n, pulls := s.requests.Load(), s.pulls.Load(); n != alone || pulls != 1 {
		t.Errorf("200 requests cost the registry %d requests and %d verifications; one alone costs %d", n, pulls, alone)
	}
}

func TestVerify_remembers(t *testing.T) {
	s, key, other := newSite(t), newKey(t), newKey(t)
	s.sign(t, s.push(t, "app"), key, unlogged, map[string]string{"env": "prod"})
	s.push(t, "unsigned")
	image := s.image("app")
	nothing := func(*oci.ImageVerifier) {}
	forgetful := remembering
	forgetful.RefusedLifetime = 0
	moving := remembering
	moving.DigestLifetime = 0
	good, bad := keyed(t, image, key), keyed(t, image, other)
	v1 := encode(t, fields{"SigstorePubKeyVerify": fields{"image": image, "pub_keys": pems(key), "annotations": nil}})
	for name, c := range map[string]struct {
		cfg           oci.CacheConfig
		first, second []byte
		between       func(*oci.ImageVerifier)
		trusted       [2]bool
		pulls         int64
	}{
		"the same again":                      {remembering, good, good, nothing, [2]bool{true, true}, 1},
		"without a cache":                     {oci.CacheConfig{}, good, good, nothing, [2]bool{true, true}, 2},
		"by another spelling of the image":    {remembering, good, keyed(t, "registry://"+image, key), nothing, [2]bool{true, true}, 1},
		"by digest":                           {remembering, good, keyed(t, s.host+"/app@"+s.digestOf(t, image), key), nothing, [2]bool{true, true}, 1},
		"the same key twice":                  {remembering, good, keyed(t, image, key, key), nothing, [2]bool{true, true}, 1},
		"a trust root of another generation":  {remembering, good, good, func(v *oci.ImageVerifier) { v.SetTrust(s.trust(t)) }, [2]bool{true, true}, 2},
		"other constraints":                   {remembering, good, bad, nothing, [2]bool{true, false}, 2},
		"more constraints":                    {remembering, good, keyed(t, image, key, other), nothing, [2]bool{true, false}, 2},
		"other annotations":                   {remembering, good, encode(t, fields{"type": "SigstorePubKeyVerify", "image": image, "pub_keys": pems(key), "annotations": fields{"env": "test"}}), nothing, [2]bool{true, false}, 2},
		"a refusal says nothing about others": {remembering, bad, good, nothing, [2]bool{false, true}, 2},
		"a refusal":                           {remembering, bad, bad, nothing, [2]bool{false, false}, 1},
		"a refusal, unless told so":           {forgetful, bad, bad, nothing, [2]bool{false, false}, 2},
		"an unsigned image":                   {remembering, keyed(t, s.image("unsigned"), key), keyed(t, s.image("unsigned"), key), nothing, [2]bool{false, false}, 1},
		"version 1 and version 2 alike":       {remembering, good, v1, nothing, [2]bool{true, true}, 1},
		"digests, where tags are asked again": {moving, good, good, nothing, [2]bool{true, true}, 1},
	} {
		t.Run(name, func(t *testing.T) {
			v := s.verifier(t, c.cfg)
			s.forget()
			asks(t, v, c.first, c.trusted[0])
			c.between(v)
			call := v.V2
			if !bytes.Contains(c.second, []byte(`"type":`)) {
				call = v.V1
			}
			if _, err := calls(t.Context(), call, c.second); (err == nil) != c.trusted[1] {
				t.Errorf("the second: trusted: %t (%v), want %t", err == nil, err, c.trusted[1])
			}
			if n := s.pulls.Load(); n != c.pulls {
				t.Errorf("%d verifications, want %d", n, c.pulls)
			}
		})
	}
}

func TestVerify_movedTag(t *testing.T) {
	s, key := newSite(t), newKey(t)
	s.sign(t, s.push(t, "app"), key, unlogged, nil)
	moving := remembering
	moving.DigestLifetime = 0
	v, w := s.verifier(t, remembering), s.verifier(t, moving)
	request := keyed(t, s.image("app"), key)
	asks(t, v, request, true)
	asks(t, w, request, true)
	s.push(t, "app") // unsigned
	asks(t, w, request, false)
	s.forget()
	asks(t, v, request, true) // not seen yet
	if n := s.requests.Load(); n != 0 {
		t.Errorf("%d requests to the registry for what is known", n)
	}
}

// TestVerify_transportFailures holds that nothing is made of what a registry failed to say.
func TestVerify_transportFailures(t *testing.T) {
	s, key := newSite(t), newKey(t)
	s.sign(t, s.push(t, "app"), key, unlogged, nil)
	v, request := s.verifier(t, remembering), keyed(t, s.image("app"), key)
	deny := func(path string) {
		s.intercept(func(w http.ResponseWriter, r *http.Request) bool {
			denied := strings.Contains(r.URL.Path, path)
			if denied {
				w.WriteHeader(http.StatusForbidden)
			}
			return denied
		})
	}
	for _, path := range []string{"/manifests/v1", ".sig", "/blobs/"} {
		deny(path)
		asks(t, v, request, false)
	}
	deny("/referrers/") // where nothing is that is needed
	asks(t, v, request, true)
}

// TestVerify_hangingRegistry holds that an evaluation waits for its own deadline at most, and that
// what was begun for it is there for the next one.
func TestVerify_hangingRegistry(t *testing.T) {
	s, key := newSite(t), newKey(t)
	s.sign(t, s.push(t, "app"), key, unlogged, nil)
	hanging, goOn := make(chan struct{}, 10), make(chan struct{})
	s.intercept(func(_ http.ResponseWriter, r *http.Request) bool {
		if strings.HasSuffix(r.URL.Path, ".sig") {
			hanging <- struct{}{}
			<-goOn
		}
		return false
	})
	v, request := s.verifier(t, remembering), keyed(t, s.image("app"), key)
	s.forget()
	for range 3 {
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan error)
		go func() {
			_, err := calls(ctx, v.V2, request)
			done <- err
		}()
		if s.pulls.Load() == 0 {
			<-hanging // in the middle of it, and not before
		}
		cancel()
		if err := <-done; !errors.Is(err, context.Canceled) {
			t.Errorf("got %v, want the evaluation's own end", err)
		}
	}
	close(goOn)
	asks(t, v, request, true)
	if n := s.pulls.Load(); n != 1 {
		t.Errorf("%d verifications for four who asked", n)
	}
}

// TestVerify_containers is a policy's evaluation of a pod whose eight containers have one image.
func TestVerify_containers(t *testing.T) {
	s, key := newSite(t), newKey(t)
	s.sign(t, s.push(t, "app"), key, unlogged, nil)
	v, request := s.verifier(t, remembering), keyed(t, s.image("app"), key)
	granted, err := hostcalls.ParseGrants([]string{"oci/v2/verify"})
	if err != nil {
		t.Fatal(err)
	}
	dispatcher := hostcalls.NewDispatcher(v.Capabilities(), zap.NewNop())
	s.forget()

	denied := dispatcher.Evaluation("p", hostcalls.Grants{}, nil)
	_, err = denied.Call(t.Context(), "oci", "v2/verify", request)
	if want := "Policy has not been granted access to the 'oci/v2/verify' host capability. The violation has been reported."; err == nil || err.Error() != want {
		t.Errorf("without a grant: %v", err)
	}
	if n := s.requests.Load(); n != 0 {
		t.Errorf("without a grant: %d requests to the registry", n)
	}
	caller := dispatcher.Evaluation("p", granted, nil)
	for range 8 {
		if _, err := caller.Call(t.Context(), "oci", "v2/verify", request); err != nil {
			t.Error(err)
		}
	}
	if n := s.pulls.Load(); n != 1 {
		t.Errorf("%d verifications for eight containers of one image", n)
	}
	if _, err := caller.Call(t.Context(), "oci", "v1/verify", request); err == nil {
		t.Error("a version that was not granted answers")
	}
}

func TestVerify_afterClose(t *testing.T) {
	s, key := newSite(t), newKey(t)
	s.sign(t, s.push(t, "app"), key, unlogged, nil)
	v := s.verifier(t, oci.CacheConfig{Lifetime: time.Hour})
	v.Close()
	if _, err := calls(t.Context(), v.V2, keyed(t, s.image("app"), key)); err == nil || !strings.Contains(err.Error(), "shutting down") {
		t.Errorf("got %v", err)
	}
}
