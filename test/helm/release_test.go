package helm

import (
	"errors"
	"io"
	"strings"
	"testing"

	"go.yaml.in/yaml/v3"
)

// A release is what helm rendered, as far as a node has to know it.
type release struct {
	ConfigMap map[string]object
	Service   map[string]object
	Pod       map[string]object
	Workload  map[string]object // the pods of each Deployment
}

type object struct {
	Metadata struct{ Name string }
	Data     map[string]string
	Spec     pod
}

// A pod is one, or with Ports a Service, or with Template a Deployment.
type pod struct {
	Volumes    []volume
	Containers []container
	Ports      []struct {
		Port       int
		TargetPort string `yaml:"targetPort"`
	}
	Template *object
}

type volume struct {
	Name      string
	ConfigMap struct{ Name string } `yaml:"configMap"`
	Secret    struct {
		Name string `yaml:"secretName"`
	}
}

type container struct {
	Name         string
	Command      []string
	Args         []string
	VolumeMounts []struct {
		Name string
		Path string `yaml:"mountPath"`
	} `yaml:"volumeMounts"`
	Env []struct {
		Name, Value string
		ValueFrom   any `yaml:"valueFrom"`
	}
}

// parse reads what helm rendered. Pods and Deployments go by what their names have after that of the release.
func parse(t testing.TB, text string) *release {
	t.Helper()
	r := &release{map[string]object{}, map[string]object{}, map[string]object{}, map[string]object{}}
	documents := yaml.NewDecoder(strings.NewReader(text))
	for {
		var head struct{ Kind string }
		var document yaml.Node
		err := documents.Decode(&document)
		if errors.Is(err, io.EOF) {
			return r
		}
		if err == nil {
			err = document.Decode(&head)
		}
		list := map[string]map[string]object{
			"ConfigMap": r.ConfigMap, "Service": r.Service, "Pod": r.Pod, "Deployment": r.Workload,
		}[head.Kind]
		if err == nil && list != nil {
			var o object
			err = document.Decode(&o)
			list[o.Metadata.Name] = o
		}
		if err != nil {
			t.Fatal(err)
		}
	}
}

// only is the one object of a map.
func only(t testing.TB, of map[string]object) *object {
	t.Helper()
	for _, o := range of {
		if len(of) == 1 {
			return &o
		}
	}
	t.Fatalf("%d objects, want 1", len(of))
	return nil
}
