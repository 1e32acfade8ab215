package kubernetes_test

import (
	"fmt"
	"net/http"
	goruntime "runtime"
	"strconv"
	"strings"
	"testing"

	"policy-server/hostcalls/kubernetes"
)

// crowd is an API server with ten thousand Pods of 5 KB, half of which are managedFields, as in
// real clusters. Its pages are written beforehand, so that reading them is what is measured.
type crowd struct{ pages []string }

const (
	crowdSize = 10_000
	pageSize  = 500
)

func newCrowd() *crowd {
	c := new(crowd)
	managed := strings.Repeat(`{"manager":"kube-controller-manager","operation":"Update","apiVersion":"v1","time":"2026-01-01T00:00:00Z","fieldsType":"FieldsV1","fieldsV1":{"f:metadata":{"f:labels":{".":{},"f:app":{}}},"f:spec":{"f:containers":{"k:{\"name\":\"main\"}":{".":{},"f:image":{},"f:name":{}}}}}},`, 9)
	containers := strings.Repeat(`{"name":"main","image":"registry.example/team/application:v1.2.3","env":[{"name":"LOG_LEVEL","value":"info"},{"name":"PORT","value":"8080"}],"resources":{"limits":{"cpu":"500m","memory":"256Mi"},"requests":{"cpu":"100m","memory":"128Mi"}},"volumeMounts":[{"name":"kube-api-access","readOnly":true,"mountPath":"/var/run/secrets/kubernetes.io/serviceaccount"}],"securityContext":{"privileged":false}},`, 4)
	for page := range crowdSize / pageSize {
		var items []string
		for i := range pageSize {
			items = append(items, fmt.Sprintf(`{"metadata":{"name":"pod-%05d","namespace":"n%d","uid":"705ab4f5-6393-11e8-b7cc-42010a800002","resourceVersion":"7","labels":{"app":"web"},"managedFields":[%s]},"spec":{"nodeName":"node-1","containers":[%s]},"status":{"phase":"Running","podIP":"192.0.2.7","conditions":[{"type":"Ready","status":"True","lastTransitionTime":"2026-01-01T00:00:00Z"}]}}`,
				page*pageSize+i, i%20, strings.TrimSuffix(managed, ","), strings.TrimSuffix(containers, ",")))
		}
		next := ""
		if page+1 < crowdSize/pageSize {
			next = fmt.Sprintf(`,"continue":"%d"`, page+1)
		}
		c.pages = append(c.pages, fmt.Sprintf(`{"kind":"PodList","apiVersion":"v1","metadata":{"resourceVersion":"7"%s},"items":[%s]}`, next, strings.Join(items, ",")))
	}
	return c
}

func (c *crowd) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Content-Type", "application/json")
	switch query := r.URL.Query(); {
	case r.URL.Path == "/api/v1":
		_, _ = w.Write([]byte(`{"resources":[{"name":"pods","kind":"Pod","namespaced":true}]}`))
	case query.Get("watch") == "true":
		w.(http.Flusher).Flush()
		<-r.Context().Done()
	default:
		page, _ := strconv.Atoi(query.Get("continue"))
		_, _ = w.Write([]byte(c.pages[page]))
	}
}

// BenchmarkList is what a list of ten thousand objects costs, the first time and from then on, and
// what it holds.
func BenchmarkList(b *testing.B) {
	s := newAPIServer(b)
	s.http.Config.Handler = newCrowd()
	for _, masks := range []struct{ name, list string }{
		{"none", `null`}, {"image", `["spec.containers.image"]`},
	} {
		payload := `{"api_version":"v1","kind":"Pod","field_masks":` + masks.list + `}`
		b.Run("masks="+masks.name+"/first", func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				p := newPolicy(b, s.opens(kubernetes.Config{}), "v1 Pod")
				b.SetBytes(int64(len(p.gets("list_resources_all", payload))))
			}
		})
		b.Run("masks="+masks.name+"/next", func(b *testing.B) {
			before := heap()
			p := newPolicy(b, s.opens(kubernetes.Config{}), "v1 Pod")
			size := len(p.gets("list_resources_all", payload))
			held := heap() - before
			b.SetBytes(int64(size))
			b.ReportAllocs()
			for b.Loop() {
				p.gets("list_resources_all", payload)
			}
			b.ReportMetric(float64(held)/(1<<20), "MB-held")
		})
	}
}

// heap returns the bytes in use after a collection.
func heap() int64 {
	goruntime.GC()
	goruntime.GC()
	var stats goruntime.MemStats
	goruntime.ReadMemStats(&stats)
	return int64(stats.HeapAlloc)
}

// BenchmarkGet is what reading an object costs that was read a moment ago.
func BenchmarkGet(b *testing.B) {
	s := newAPIServer(b)
	s.puts(service)
	p := newPolicy(b, s.opens(kubernetes.Config{}), "v1 Service")
	for _, masks := range []string{`null`, `["spec.clusterIP"]`} {
		payload := `{"api_version":"v1","kind":"Service","name":"api-auth-service","namespace":"customer-1","disable_cache":false,"field_masks":` + masks + `}`
		b.Run("masks="+masks, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				p.gets("get_resource", payload)
			}
		})
	}
}
