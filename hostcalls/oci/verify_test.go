package oci_test

import (
	"fmt"
	"net/http"
	"reflect"
	"strings"
	"testing"

	"go.uber.org/zap"

	"policy-server/hostcalls"
	"policy-server/hostcalls/oci"
	"policy-server/internal/testing/sigstoretest"
	"policy-server/registry/trust"
)

const (
	emailIssuer = "https://github.com/login/oauth"
	alice       = "alice@example.com"
)

// identities, the keys they last signed with, and what they signed, for the tables below.
type signed struct {
	*site
	key, other, certified                       sigstoretest.Credential
	aliceID, workflowID                         sigstoretest.Identity
	byKey, byAlice, byWorkflow, byCert, bundled string // images
}

func newSigned(t *testing.T) *signed {
	s := &signed{site: newSite(t), key: newKey(t), other: newKey(t)}
	s.aliceID = sigstoretest.Identity{Email: alice, Issuer: emailIssuer}
	s.workflowID = sigstoretest.Workflow("octocat/app")
	s.workflowID.URI = "https://github.com/kubewarden/ci/.github/workflows/release.yml@refs/heads/main" // a reusable workflow
	s.certified = s.issue(t, s.aliceID)
	prod := map[string]string{"env": "prod"}
	s.byKey, s.byAlice, s.byWorkflow = s.image("key"), s.image("alice"), s.image("workflow")
	s.byCert, s.bundled = s.image("cert"), s.image("bundled")

	s.sign(t, s.push(t, "key"), s.key, sigstoretest.How{Log: sigstoretest.NotLogged}, prod)
	s.sign(t, s.push(t, "alice"), s.issue(t, s.aliceID), sigstoretest.How{}, prod)
	s.sign(t, s.push(t, "workflow"), s.issue(t, s.workflowID), sigstoretest.How{}, nil)
	bare := s.certified
	bare.Certificate = nil
	s.sign(t, s.push(t, "cert"), bare, sigstoretest.How{}, nil)
	d := s.pushIndex(t, "bundled")
	s.signBundle(t, d, s.key, sigstoretest.How{Log: sigstoretest.NotLogged}, prod)
	s.signBundle(t, d, s.issue(t, s.aliceID), sigstoretest.How{}, prod)
	s.signBundle(t, d, s.issue(t, s.workflowID), sigstoretest.How{}, nil)
	return s
}

func TestVerify_accepts(t *testing.T) {
	s := newSigned(t)
	chain := [][]int{}
	for _, issuer := range s.authority.Chain() {
		chain = append(chain, numbers(certificatePEM(t, issuer.Raw)))
	}
	leaf := numbers(certificatePEM(t, s.certified.Certificate.Raw))
	for name, c := range map[string]struct {
		image   string
		version int
		request fields
	}{
		"a key, version 1":                   {s.byKey, 1, fields{"SigstorePubKeyVerify": fields{"pub_keys": pems(s.key)}}},
		"an identity, version 1":             {s.byAlice, 1, fields{"SigstoreKeylessVerify": fields{"keyless": []fields{{"issuer": emailIssuer, "subject": alice}}, "annotations": nil}}},
		"a key":                              {s.byKey, 2, fields{"type": "SigstorePubKeyVerify", "pub_keys": pems(s.key), "annotations": nil}},
		"a key and annotations":              {s.byKey, 2, fields{"type": "SigstorePubKeyVerify", "pub_keys": pems(s.key, s.key), "annotations": fields{"env": "prod"}}},
		"a key, in a bundle on an index":     {s.bundled, 2, fields{"type": "SigstorePubKeyVerify", "pub_keys": pems(s.key), "annotations": fields{}}},
		"an identity":                        {s.byAlice, 2, fields{"type": "SigstoreKeylessVerify", "keyless": []fields{{"issuer": emailIssuer, "subject": alice}}, "annotations": fields{"env": "prod"}}},
		"an identity, in a bundle":           {s.bundled, 2, fields{"type": "SigstoreKeylessVerify", "keyless": []fields{{"issuer": emailIssuer, "subject": alice}}}},
		"a URI exactly":                      {s.byWorkflow, 2, fields{"type": "SigstoreKeylessVerify", "keyless": []fields{{"issuer": sigstoretest.GitHubIssuer, "subject": s.workflowID.URI}}}},
		"a prefix, unknown members beside":   {s.byWorkflow, 2, fields{"type": "SigstoreKeylessPrefixVerify", "keyless_prefix": []fields{{"issuer": sigstoretest.GitHubIssuer, "url_prefix": "https://GitHub.com/kubewarden", "since": 2}}, "colour": "red"}},
		"two prefixes that one signer meets": {s.byWorkflow, 2, fields{"type": "SigstoreKeylessPrefixVerify", "keyless_prefix": []fields{{"issuer": sigstoretest.GitHubIssuer, "url_prefix": "https://github.com/kubewarden"}, {"issuer": sigstoretest.GitHubIssuer, "url_prefix": "https://github.com"}}}},
		"an owner":                           {s.byWorkflow, 2, fields{"type": "SigstoreGithubActionsVerify", "owner": "octocat"}},
		"an owner, and a repository of none": {s.byWorkflow, 2, fields{"type": "SigstoreGithubActionsVerify", "owner": "octocat", "repo": ""}},
		"owner and repository, in a bundle":  {s.bundled, 2, fields{"type": "SigstoreGithubActionsVerify", "owner": "octocat", "repo": "app"}},
		"a certificate":                      {s.byCert, 2, fields{"type": "SigstoreCertificateVerify", "certificate": leaf, "require_rekor_bundle": true}},
		"a certificate and its chain":        {s.byCert, 2, fields{"type": "SigstoreCertificateVerify", "certificate": leaf, "certificate_chain": chain, "require_rekor_bundle": false}},
	} {
		t.Run(name, func(t *testing.T) {
			inner := c.request
			for _, nested := range c.request {
				if object, ok := nested.(fields); ok && c.version == 1 {
					inner = object
				}
			}
			inner["image"] = c.image
			v := s.verifier(t, oci.CacheConfig{})
			call := map[int]func([]byte) ([]byte, error){
				1: func(p []byte) ([]byte, error) { return calls(t.Context(), v.V1, p) },
				2: func(p []byte) ([]byte, error) { return calls(t.Context(), v.V2, p) },
			}[c.version]
			got, err := call(encode(t, c.request))
			if want := fmt.Sprintf(`{"is_trusted":true,"digest":%q}`, s.digestOf(t, c.image)); err != nil || string(got) != want {
				t.Errorf("got %s, %v; want %s", got, err, want)
			}
		})
	}
}

// digestOf is what the registry says of image.
func (s *site) digestOf(t *testing.T, image string) string {
	t.Helper()
	response, err := http.Head("http://" + s.host + "/v2/" + strings.Replace(strings.TrimPrefix(image, s.host+"/"), ":", "/manifests/", 1))
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	return response.Header.Get("Docker-Content-Digest")
}

func TestVerify_refuses(t *testing.T) {
	s := newSigned(t)
	s.push(t, "unsigned")
	s.push(t, "forbidden")
	copied := s.push(t, "copied")
	s.signFor(t, copied, s.push(t, "original"), s.key, unlogged, nil)
	s.intercept(func(w http.ResponseWriter, r *http.Request) bool {
		denied := strings.HasPrefix(r.URL.Path, "/v2/forbidden/") && !strings.HasSuffix(r.URL.Path, "/v1") || strings.HasPrefix(r.URL.Path, "/v2/denied/")
		if denied {
			w.WriteHeader(http.StatusForbidden)
		}
		return denied
	})
	stranger := newSite(t).authority.Chain()[1]
	leaf := numbers(certificatePEM(t, s.certified.Certificate.Raw))
	pubKeyYAML := func(key sigstoretest.Credential, annotations string) string {
		text := strings.ReplaceAll(strings.TrimSpace(string(key.Signer.PublicKeyPEM())), "\n", "\n  ")
		return "kind: pubKey\nowner: null\nkey: |\n  " + text + "\nannotations:" + annotations + "\n"
	}
	issuerYAML := func(subject string) string {
		return "kind: genericIssuer\nissuer: " + emailIssuer + "\nsubject: !equal " + subject + "\nannotations: null\n"
	}
	const failed = "Callback evaluation failure: "
	const missing = failed + "Image verification failed: missing signatures\nThe following constraints were not satisfied:\n"
	person := func(subject string) fields { return fields{"issuer": emailIssuer, "subject": subject} }
	for name, c := range map[string]struct {
		image, variant string
		request        fields
		want           string // the error; one that ends in "…" goes on
	}{
		"another key":           {s.byKey, "SigstorePubKeyVerify", fields{"pub_keys": pems(s.key, s.other)}, missing + pubKeyYAML(s.other, " null")},
		"annotations":           {s.byKey, "SigstorePubKeyVerify", fields{"pub_keys": pems(s.key), "annotations": fields{"env": "test"}}, missing + pubKeyYAML(s.key, "\n  env: test")},
		"a key is no identity":  {s.byKey, "SigstoreKeylessVerify", fields{"keyless": []fields{person(alice)}}, missing + issuerYAML(alice)},
		"the unmet one only":    {s.byAlice, "SigstoreKeylessVerify", fields{"keyless": []fields{person(alice), person("user3@provider.com")}}, missing + issuerYAML("user3@provider.com")},
		"prefix of another":     {s.byWorkflow, "SigstoreKeylessPrefixVerify", fields{"keyless_prefix": []fields{{"issuer": sigstoretest.GitHubIssuer, "url_prefix": "https://github.com/kube"}}}, missing + "kind: genericIssuer\nissuer: https://token.actions.githubusercontent.com\nsubject: !urlPrefix https://github.com/kube/\nannotations: null\n"},
		"owner of the workflow": {s.byWorkflow, "SigstoreGithubActionsVerify", fields{"owner": "kubewarden", "repo": "ci"}, missing + "kind: githubAction\nowner: kubewarden\nrepo: ci\nannotations: null\n"},
		"owner of a person":     {s.byAlice, "SigstoreGithubActionsVerify", fields{"owner": "octocat"}, missing + "kind: githubAction\nowner: octocat\nrepo: null\nannotations: null\n"},
		"no keys":               {s.byKey, "SigstorePubKeyVerify", fields{"pub_keys": []string{}}, failed + "Must provide at least one pub key"},
		"no identities":         {s.byKey, "SigstoreKeylessVerify", fields{"keyless": []fields{}}, failed + "Must provide keyless info"},
		"no prefixes":           {s.byKey, "SigstoreKeylessPrefixVerify", fields{"keyless_prefix": []fields{}}, failed + "Must provide keyless info"},
		"no owner":              {s.byKey, "SigstoreGithubActionsVerify", fields{"owner": ""}, failed + "Must provide owner info"},
		"prefix that is none":   {s.byKey, "SigstoreKeylessPrefixVerify", fields{"keyless_prefix": []fields{{"issuer": "i", "url_prefix": "kubewarden"}}}, failed + `keyless_prefix[0].url_prefix: "kubewarden": want an absolute URL…`},
		"key that is none":      {s.byKey, "SigstorePubKeyVerify", fields{"pub_keys": []string{"-----BEGIN"}}, missing + "pub_keys[0]: no PEM block; want -----BEGIN PUBLIC KEY-----"},
		"reserved annotation":   {s.byKey, "SigstorePubKeyVerify", fields{"pub_keys": pems(s.key), "annotations": fields{"creator": "me"}}, failed + "Image verification failed: allOf[0].annotations.creator: reserved…"},
		"bad reference":         {"UPPER", "SigstorePubKeyVerify", fields{"pub_keys": pems(s.key)}, failed + "Invalid OCI image reference: invalid reference format"},
		"empty reference":       {"", "SigstorePubKeyVerify", fields{"pub_keys": pems(s.key)}, failed + "Invalid OCI image reference: repository name must have at least one component"},
		"bad port":              {"a.com:99999/b", "SigstorePubKeyVerify", fields{"pub_keys": pems(s.key)}, failed + "Invalid OCI image reference: invalid port number"},
		"no such image":         {s.image("none"), "SigstorePubKeyVerify", fields{"pub_keys": pems(s.key)}, failed + "failed to get image trusted layers: Cannot fetch manifest of " + s.image("none") + ": …"},
		"image denied":          {s.image("denied"), "SigstorePubKeyVerify", fields{"pub_keys": pems(s.key)}, failed + "failed to get image trusted layers: Cannot fetch manifest of " + s.image("denied") + ": …"},
		"unsigned":              {"registry://" + s.image("unsigned"), "SigstorePubKeyVerify", fields{"pub_keys": pems(s.key)}, failed + "no signatures found for image: " + s.image("unsigned") + " "},
		"copied signature":      {s.image("copied"), "SigstorePubKeyVerify", fields{"pub_keys": pems(s.key)}, failed + "failed to get image trusted layers: No Signature Layer passed verification"},
		"copied, another key":   {s.image("copied"), "SigstorePubKeyVerify", fields{"pub_keys": pems(s.other)}, missing + pubKeyYAML(s.other, " null")},
		"signatures denied":     {s.image("forbidden"), "SigstorePubKeyVerify", fields{"pub_keys": pems(s.key)}, failed + "signatures of " + s.host + "/forbidden@" + s.digestOf(t, s.image("forbidden")) + " cannot be read: …"},
		"certificate unlogged":  {s.byKey, "SigstoreCertificateVerify", fields{"certificate": leaf, "require_rekor_bundle": true}, failed + "verification failed: Several Signature Layers failed verification"},
		"certificate of others": {s.byCert, "SigstoreCertificateVerify", fields{"certificate": leaf, "certificate_chain": [][]int{numbers(certificatePEM(t, stranger.Raw))}, "require_rekor_bundle": false}, failed + "certificate not issued by a trusted authority: …"},
		"empty chain":           {s.byCert, "SigstoreCertificateVerify", fields{"certificate": leaf, "certificate_chain": [][]int{}, "require_rekor_bundle": false}, failed + "certificate_chain: no PEM block; want -----BEGIN CERTIFICATE-----"},
		"chain of rubbish":      {s.byCert, "SigstoreCertificateVerify", fields{"certificate": leaf, "certificate_chain": [][]int{{1, 2}}, "require_rekor_bundle": false}, failed + "certificate_chain[0]: no PEM block; want -----BEGIN CERTIFICATE-----"},
		"a CA is no signer":     {s.byCert, "SigstoreCertificateVerify", fields{"certificate": numbers(certificatePEM(t, stranger.Raw)), "require_rekor_bundle": false}, failed + "Image verification failed: allOf[0].certificate: not for signing code…"},
	} {
		t.Run(name, func(t *testing.T) {
			c.request["image"] = c.image
			v := s.verifier(t, oci.CacheConfig{})
			payloads := map[string]func() ([]byte, error){
				"v2": func() ([]byte, error) {
					c.request["type"] = c.variant
					return calls(t.Context(), v.V2, encode(t, c.request))
				},
			}
			if c.variant == "SigstorePubKeyVerify" || c.variant == "SigstoreKeylessVerify" {
				payloads["v1"] = func() ([]byte, error) { return calls(t.Context(), v.V1, encode(t, fields{c.variant: c.request})) }
			}
			for version, call := range payloads {
				got, err := call()
				want, more := strings.CutSuffix(c.want, "…")
				if err == nil || got != nil || more && !strings.HasPrefix(err.Error(), want) || !more && err.Error() != want {
					t.Errorf("%s: got %s, %v\nwant %s", version, got, err, c.want)
				}
			}
		})
	}
}

func TestVerify_withoutTrustRoot(t *testing.T) {
	s := newSigned(t)
	v := oci.NewImageVerifier(s.client(t), trust.Source{}, remembering, zap.NewNop())
	t.Cleanup(v.Close)
	if _, err := calls(t.Context(), v.V2, keyed(t, s.byKey, s.key)); err != nil {
		t.Errorf("a key needs no trust root: %v", err)
	}
	request := encode(t, fields{"type": "SigstoreGithubActionsVerify", "image": s.byWorkflow, "owner": "octocat"})
	_, err := calls(t.Context(), v.V2, request)
	if want := "Callback evaluation failure: Image verification failed: the constraints need a Sigstore trust root, which is not there: none is configured"; err == nil || err.Error() != want {
		t.Errorf("got %v\nwant %s", err, want)
	}
	v.SetTrust(s.trust(t))
	if _, err := calls(t.Context(), v.V2, request); err != nil {
		t.Errorf("once there is one: %v", err)
	}
}

func TestVerify_decodes(t *testing.T) {
	s := newSite(t)
	v := s.verifier(t, remembering)
	for name, c := range map[string]struct {
		version       int
		payload, want string // without the prefix that all have
	}{
		"nothing":               {2, ``, "unexpected end of JSON input"},
		"null":                  {2, `null`, "null; want a value"},
		"a list":                {2, `[]`, "json: cannot unmarshal array…"},
		"no type":               {2, `{"image":"a"}`, "missing field `type`"},
		"key in another case":   {2, `{"Type":"SigstorePubKeyVerify"}`, "missing field `type`"},
		"unknown variant":       {2, `{"type":"Notary"}`, `unknown variant "Notary"; want one of [SigstoreCertificateVerify SigstoreGithubActionsVerify…`},
		"no image":              {2, `{"type":"SigstorePubKeyVerify","pub_keys":["x"]}`, "missing field `image`"},
		"image is null":         {2, `{"type":"SigstorePubKeyVerify","image":null,"pub_keys":["x"]}`, "field `image`: null; want a value"},
		"image is a number":     {2, `{"type":"SigstorePubKeyVerify","image":1,"pub_keys":["x"]}`, "field `image`: json: cannot unmarshal number…"},
		"no keys":               {2, `{"type":"SigstorePubKeyVerify","image":"a"}`, "missing field `pub_keys`"},
		"a key is null":         {2, `{"type":"SigstorePubKeyVerify","image":"a","pub_keys":[null]}`, "field `pub_keys`: null; want a value"},
		"annotations as a list": {2, `{"type":"SigstorePubKeyVerify","image":"a","pub_keys":["x"],"annotations":[]}`, "field `annotations`: json: cannot unmarshal array…"},
		"annotation is null":    {2, `{"type":"SigstorePubKeyVerify","image":"a","pub_keys":["x"],"annotations":{"a":null}}`, "field `annotations`: null; want a value"},
		"annotation is true":    {2, `{"type":"SigstorePubKeyVerify","image":"a","pub_keys":["x"],"annotations":{"a":true}}`, "field `annotations`: json: cannot unmarshal bool…"},
		"identity is null":      {2, `{"type":"SigstoreKeylessVerify","image":"a","keyless":[null]}`, "field `keyless`: null; want a value"},
		"half an identity":      {2, `{"type":"SigstoreKeylessVerify","image":"a","keyless":[{"issuer":"i"}]}`, "field `keyless`: element 0: missing field `subject`"},
		"subject for prefix":    {2, `{"type":"SigstoreKeylessPrefixVerify","image":"a","keyless_prefix":[{"issuer":"i","subject":"s"}]}`, "field `keyless_prefix`: element 0: missing field `url_prefix`"},
		"no owner":              {2, `{"type":"SigstoreGithubActionsVerify","image":"a"}`, "missing field `owner`"},
		"repo is a number":      {2, `{"type":"SigstoreGithubActionsVerify","image":"a","owner":"o","repo":1}`, "field `repo`: json: cannot unmarshal number…"},
		"certificate as text":   {2, `{"type":"SigstoreCertificateVerify","image":"a","certificate":"LS0t","require_rekor_bundle":true}`, "field `certificate`: json: cannot unmarshal string…"},
		"no byte":               {2, `{"type":"SigstoreCertificateVerify","image":"a","certificate":[45,256],"require_rekor_bundle":true}`, "field `certificate`: element 1: 256; want a number from 0 to 255"},
		"byte is null":          {2, `{"type":"SigstoreCertificateVerify","image":"a","certificate":[null],"require_rekor_bundle":true}`, "field `certificate`: element 0: null; want a number from 0 to 255"},
		"chain without bytes":   {2, `{"type":"SigstoreCertificateVerify","image":"a","certificate":[45],"certificate_chain":[null],"require_rekor_bundle":true}`, "field `certificate_chain`: null; want a value"},
		"rekor not said":        {2, `{"type":"SigstoreCertificateVerify","image":"a","certificate":[45]}`, "missing field `require_rekor_bundle`"},
		"rekor as text":         {2, `{"type":"SigstoreCertificateVerify","image":"a","certificate":[45],"require_rekor_bundle":"true"}`, "field `require_rekor_bundle`: json: cannot unmarshal string…"},
		"v1: two variants":      {1, `{"SigstorePubKeyVerify":{},"SigstoreKeylessVerify":{}}`, "2 variants; want one of [SigstoreKeylessVerify SigstorePubKeyVerify]"},
		"v1: none":              {1, `{}`, "0 variants; want one of [SigstoreKeylessVerify SigstorePubKeyVerify]"},
		"v1: of version 2":      {1, `{"SigstoreGithubActionsVerify":{"image":"a","owner":"o"}}`, `unknown variant "SigstoreGithubActionsVerify"; want one of [SigstoreKeylessVerify SigstorePubKeyVerify]`},
		"v1: no fields":         {1, `{"SigstorePubKeyVerify":null}`, "field `SigstorePubKeyVerify`: null; want a value"},
		"v1: no image":          {1, `{"SigstorePubKeyVerify":{"pub_keys":["x"]}}`, "missing field `image`"},
		"v1: rubbish":           {1, `SigstorePubKeyVerify`, "invalid character 'S'…"},
	} {
		t.Run(name, func(t *testing.T) {
			call := v.V2
			if c.version == 1 {
				call = v.V1
			}
			got, err := calls(t.Context(), call, []byte(c.payload))
			want, more := strings.CutSuffix("decode request: "+c.want, "…")
			if err == nil || got != nil || more && !strings.HasPrefix(err.Error(), want) || !more && err.Error() != want {
				t.Errorf("got %s, %v\nwant %s", got, err, want)
			}
		})
	}
	if n := s.requests.Load(); n != 0 {
		t.Errorf("%d requests for what could not be read", n)
	}
}

// TestQuestions holds what session files say of requests, also of those that fail before anything
// is asked.
func TestQuestions(t *testing.T) {
	v := newSite(t).verifier(t, oci.CacheConfig{})
	field := func(name string, value any) hostcalls.Field { return hostcalls.Field{Name: name, Value: value} }
	var none map[string]string
	for name, c := range map[string]struct {
		capability hostcalls.Understanding
		payload    string
		want       hostcalls.Question
	}{
		"keys": {v.V1, `{"SigstorePubKeyVerify":{"image":"a","pub_keys":[],"annotations":{"env":"prod"}}}`,
			hostcalls.Question{Variant: "SigstorePubKeyVerify", Fields: hostcalls.Fields{
				field("image", "a"), field("pub_keys", []string{}), field("annotations", map[string]string{"env": "prod"})}}},
		"keyless": {v.V2, `{"type":"SigstoreKeylessVerify","image":"a","keyless":[{"issuer":"i","subject":"s"}]}`,
			hostcalls.Question{Variant: "SigstoreKeylessVerify", Fields: hostcalls.Fields{field("image", "a"),
				field("keyless", []hostcalls.Fields{{field("issuer", "i"), field("subject", "s")}}), field("annotations", none)}}},
		"prefix": {v.V2, `{"type":"SigstoreKeylessPrefixVerify","image":"a","keyless_prefix":[{"issuer":"i","url_prefix":"https://a"}]}`,
			hostcalls.Question{Variant: "SigstoreKeylessPrefixVerify", Fields: hostcalls.Fields{field("image", "a"),
				field("keyless_prefix", []hostcalls.Fields{{field("issuer", "i"), field("url_prefix", "https://a")}}), field("annotations", none)}}},
		"workflows": {v.V2, `{"type":"SigstoreGithubActionsVerify","image":"a","owner":"o","repo":""}`,
			hostcalls.Question{Variant: "SigstoreGithubActionsVerify", Fields: hostcalls.Fields{
				field("image", "a"), field("owner", "o"), field("repo", (*string)(nil)), field("annotations", none)}}},
		"certificate": {v.V2, `{"type":"SigstoreCertificateVerify","image":"a","certificate":[45],"certificate_chain":[[1],[2]],"require_rekor_bundle":true}`,
			hostcalls.Question{Variant: "SigstoreCertificateVerify", Fields: hostcalls.Fields{
				field("image", "a"), field("certificate", hostcalls.Bytes{45}), field("certificate_chain", []hostcalls.Bytes{{1}, {2}}),
				field("require_rekor_bundle", true), field("annotations", none)}}},
		"version 3": {v.V3, `{"image":"a", "signatures":{"anyOf":[{"owner":"o","kind":"githubAction"}]}}`,
			hostcalls.Question{Variant: "OciVerifyV3", Fields: hostcalls.Fields{
				field("image", "a"), field("demands", `[{"anyOf":[{"kind":"githubAction","owner":"o"}]},null]`)}}},
		"version 3, asking for nothing": {v.V3, `{"image":"a"}`,
			hostcalls.Question{Variant: "OciVerifyV3", Fields: hostcalls.Fields{field("image", "a"), field("demands", `{"image":"a"}`)}}},
	} {
		t.Run(name, func(t *testing.T) {
			request, err := c.capability([]byte(c.payload))
			if err != nil {
				t.Fatal(err)
			}
			if !reflect.DeepEqual(request.Question, c.want) {
				t.Errorf("got  %#v\nwant %#v", request.Question, c.want)
			}
		})
	}
}
