package podspec_test

import (
	"slices"
	"strings"
	"testing"

	"policy-server/policies-examples/podspec"
	"policy-server/sdk"
)

func TestPath(t *testing.T) {
	for kind, want := range map[sdk.GroupVersionKind]string{
		{Version: "v1", Kind: "Pod"}:                               "spec",
		{Version: "v1", Kind: "PodTemplate"}:                       "template.spec",
		{Version: "v1", Kind: "ReplicationController"}:             "spec.template.spec",
		{Group: "apps", Version: "v1", Kind: "Deployment"}:         "spec.template.spec",
		{Group: "apps", Version: "v1", Kind: "ReplicaSet"}:         "spec.template.spec",
		{Group: "apps", Version: "v1", Kind: "StatefulSet"}:        "spec.template.spec",
		{Group: "apps", Version: "v1", Kind: "DaemonSet"}:          "spec.template.spec",
		{Group: "batch", Version: "v1", Kind: "Job"}:               "spec.template.spec",
		{Group: "batch", Version: "v1", Kind: "CronJob"}:           "spec.jobTemplate.spec.template.spec",
		{Version: "v1", Kind: "Service"}:                           "",
		{Group: "autoscaling", Version: "v1", Kind: "Scale"}:       "",
		{Group: "serving.knative.dev", Version: "v1", Kind: "Pod"}: "",
		{Group: "example.com", Version: "v1", Kind: "Deployment"}:  "",
		{}: "",
	} {
		t.Run(kind.Group+"/"+kind.Kind, func(t *testing.T) {
			if got := strings.Join(podspec.Path(kind), "."); got != want {
				t.Errorf("path is %q, expected %q", got, want)
			}
		})
	}
}

func TestContainers(t *testing.T) {
	for name, c := range map[string]struct {
		spec string
		want []string
	}{
		"all lists":       {`{"initContainers":[{"name":"a"}],"containers":[{"name":"b"},{"name":"c"}],"ephemeralContainers":[{"name":"d"}]}`, []string{"a", "b", "c", "d"}},
		"none":            {`{"volumes":[{"name":"v"}]}`, nil},
		"null list":       {`{"containers":null}`, nil},
		"list of nothing": {`{"containers":"web"}`, nil},
		"no spec":         {``, nil},
	} {
		t.Run(name, func(t *testing.T) {
			var got []string
			for container := range podspec.Containers(sdk.JSON(c.spec)) {
				text, _ := container.Get("name").Text()
				got = append(got, text)
			}
			if !slices.Equal(got, c.want) {
				t.Errorf("containers are %q, expected %q", got, c.want)
			}
		})
	}
}

func TestImages(t *testing.T) {
	for name, c := range map[string]struct {
		spec string
		want []string
	}{
		"containers":    {`{"initContainers":[{"image":"a"}],"containers":[{"image":"b"},{"image":"c"}],"ephemeralContainers":[{"image":"d"}]}`, []string{"initContainers.0.image a", "containers.0.image b", "containers.1.image c", "ephemeralContainers.0.image d"}},
		"image volumes": {`{"volumes":[{"name":"v"},{"name":"w","image":{"reference":"models:1","pullPolicy":"Always"}}]}`, []string{"volumes.1.image.reference models:1"}},
		"without image": {`{"containers":[{"name":"filled in by somebody else"},{"image":"b"}],"volumes":[{"image":{}}]}`, []string{"containers.1.image b"}},
		"not a volume":  {`{"volumes":{"image":{"reference":"a"}},"containers":null}`, nil},
		"no spec":       {``, nil},
	} {
		t.Run(name, func(t *testing.T) {
			var got []string
			for path, image := range podspec.Images(sdk.JSON(c.spec)) {
				got = append(got, strings.Join(path, ".")+" "+image)
			}
			if !slices.Equal(got, c.want) {
				t.Errorf("images are %q, expected %q", got, c.want)
			}
		})
	}
}
