package sdk_test

import (
	"encoding/json"
	"strconv"
	"strings"
	"testing"

	"policy-server/sdk"
)

// deployment returns a Deployment with this many containers, of which the last is privileged, and
// ten times as many annotations.
func deployment(containers int) string {
	var text strings.Builder
	text.WriteString(`{"apiVersion":"apps/v1","kind":"Deployment","metadata":{"name":"web","annotations":{"first":"x"`)
	for i := range containers * 10 {
		text.WriteString(`,"example.com/note-` + strconv.Itoa(i) + `":"what was written about \"web\" on day ` + strconv.Itoa(i) + `"`)
	}
	text.WriteString(`}},"spec":{"replicas":3,"template":{"spec":{"containers":[`)
	for i := range containers {
		if i > 0 {
			text.WriteString(",")
		}
		text.WriteString(`{"name":"c` + strconv.Itoa(i) + `","image":"registry.example/app:1.2","env":[{"name":"LOG_LEVEL",` +
			`"value":"info"},{"name":"REGION","value":"eu"}],"resources":{"limits":{"cpu":"500m","memory":"128Mi"}},` +
			`"securityContext":{"privileged":` + strconv.FormatBool(i == containers-1) + `}}`)
	}
	text.WriteString(`]}}}}`)
	return text.String()
}

// readers answer the same question, whether some container is privileged, each in its own way.
var readers = []struct {
	name       string
	privileged func(object sdk.Value) bool
}{
	{"sdk", func(object sdk.Value) bool {
		for container := range object.Get("spec", "template", "spec", "containers").Each() {
			if container.Get("securityContext", "privileged").IsTrue() {
				return true
			}
		}
		return false
	}},
	{"encoding-json-struct", func(object sdk.Value) bool {
		var controller struct {
			Spec struct {
				Template struct {
					Spec struct {
						Containers []struct{ SecurityContext struct{ Privileged bool } }
					}
				}
			}
		}
		if err := json.Unmarshal([]byte(object.Raw()), &controller); err != nil {
			return false
		}
		for _, container := range controller.Spec.Template.Spec.Containers {
			if container.SecurityContext.Privileged {
				return true
			}
		}
		return false
	}},
	{"encoding-json-map", func(object sdk.Value) bool {
		var controller map[string]any
		if err := json.Unmarshal([]byte(object.Raw()), &controller); err != nil {
			return false
		}
		spec := controller["spec"].(map[string]any)["template"].(map[string]any)["spec"].(map[string]any)
		for _, container := range spec["containers"].([]any) {
			if container.(map[string]any)["securityContext"].(map[string]any)["privileged"] == true {
				return true
			}
		}
		return false
	}},
}

// BenchmarkEvaluate measures a whole call of the policy, payload in and answer out.
func BenchmarkEvaluate(b *testing.B) {
	for _, containers := range []int{2, 40} {
		payload := `{"request":{"uid":"u","operation":"CREATE","object":` + deployment(containers) + `},"settings":{}}`
		for _, reader := range readers {
			b.Run("object="+strconv.Itoa(len(payload)/1024)+"KB/reader="+reader.name, func(b *testing.B) {
				policy := sdk.Policy{Validate: func(r sdk.Request) sdk.Response {
					if reader.privileged(r.Object()) {
						return sdk.Reject("privileged")
					}
					return sdk.Accept()
				}}
				const want = `{"accepted":false,"message":"privileged"}`
				if answer, failure := call(policy, "validate", payload); answer != want {
					b.Fatalf("answer %s, failure %s", answer, failure)
				}
				b.SetBytes(int64(len(payload)))
				b.ReportAllocs()
				for b.Loop() {
					call(policy, "validate", payload)
				}
			})
		}
	}
}

// BenchmarkSet measures one edit deep in an object.
func BenchmarkSet(b *testing.B) {
	profile := sdk.JSON(`{"type":"RuntimeDefault"}`)
	for _, containers := range []int{2, 40} {
		object := sdk.JSON(deployment(containers))
		b.Run("object="+strconv.Itoa(len(object.Raw())/1024)+"KB", func(b *testing.B) {
			edited, err := sdk.Set(object, profile, "spec", "template", "spec", "securityContext", "seccompProfile")
			if err != nil || edited.Get("spec", "template", "spec", "securityContext", "seccompProfile") != profile {
				b.Fatalf("object is %s, error %v", edited, err)
			}
			b.SetBytes(int64(len(object.Raw())))
			b.ReportAllocs()
			for b.Loop() {
				if _, err := sdk.Set(object, profile, "spec", "template", "spec", "securityContext", "seccompProfile"); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
