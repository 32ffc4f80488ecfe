// Command objects reads Kubernetes objects, as helm template prints them, and says what an API server would
// refuse or what would not find its other half: members that a kind does not have, names that are none, selectors
// and references that lead nowhere, pods below the security level "restricted". It needs no cluster; the types
// are those of the APIs.
package main

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"

	monitoring "github.com/prometheus-operator/prometheus-operator/pkg/apis/monitoring/v1"
	apps "k8s.io/api/apps/v1"
	autoscaling "k8s.io/api/autoscaling/v2"
	core "k8s.io/api/core/v1"
	networking "k8s.io/api/networking/v1"
	disruption "k8s.io/api/policy/v1"
	meta "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/yaml"
	gateway "sigs.k8s.io/gateway-api/apis/v1"
	strict "sigs.k8s.io/yaml"
)

func main() {
	if err := run(os.Stdin); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func run(in io.Reader) error {
	o := &objects{}
	documents := yaml.NewYAMLReader(bufio.NewReader(in))
	for {
		text, err := documents.Read()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return err
		}
		if len(bytes.TrimSpace(text)) > 0 {
			o.add(text)
		}
	}
	if len(o.all) == 0 {
		o.problem("no objects")
	}
	for _, object := range o.all {
		o.checkMeta(object)
	}
	o.checkPods()
	o.checkReferences()
	return errors.Join(o.problems...)
}

// objects are those of one release, each in the list of its kind and in all.
type objects struct {
	configMaps      []*core.ConfigMap
	services        []*core.Service
	serviceAccounts []*core.ServiceAccount
	pods            []*core.Pod
	deployments     []*apps.Deployment
	scalers         []*autoscaling.HorizontalPodAutoscaler
	budgets         []*disruption.PodDisruptionBudget
	networkPolicies []*networking.NetworkPolicy
	ingresses       []*networking.Ingress
	routes          []*gateway.HTTPRoute
	monitors        []*monitoring.ServiceMonitor
	all             []meta.Object
	problems        []error
}

func (o *objects) problem(format string, args ...any) {
	o.problems = append(o.problems, fmt.Errorf(format, args...))
}

// add decodes one object.
func (o *objects) add(text []byte) {
	var kind meta.TypeMeta
	if err := strict.Unmarshal(text, &kind); err != nil {
		o.problem("%v in\n%s", err, text)
		return
	}
	switch at := kind.APIVersion + " " + kind.Kind; at {
	case "v1 ConfigMap":
		decode(o, text, &o.configMaps)
	case "v1 Service":
		decode(o, text, &o.services)
	case "v1 ServiceAccount":
		decode(o, text, &o.serviceAccounts)
	case "v1 Pod":
		decode(o, text, &o.pods)
	case "apps/v1 Deployment":
		decode(o, text, &o.deployments)
	case "autoscaling/v2 HorizontalPodAutoscaler":
		decode(o, text, &o.scalers)
	case "policy/v1 PodDisruptionBudget":
		decode(o, text, &o.budgets)
	case "networking.k8s.io/v1 NetworkPolicy":
		decode(o, text, &o.networkPolicies)
	case "networking.k8s.io/v1 Ingress":
		decode(o, text, &o.ingresses)
	case "gateway.networking.k8s.io/v1 HTTPRoute":
		decode(o, text, &o.routes)
	case "monitoring.coreos.com/v1 ServiceMonitor":
		decode(o, text, &o.monitors)
	default:
		o.problem("%s is not known here", at)
	}
}

// decode decodes an object of type T, with no member twice and none that T does not have.
func decode[T any](o *objects, text []byte, list *[]*T) {
	object := new(T)
	if err := strict.UnmarshalStrict(text, object); err != nil {
		o.problem("%v in\n%s", err, text)
		return
	}
	*list = append(*list, object)
	o.all = append(o.all, any(object).(meta.Object))
}
