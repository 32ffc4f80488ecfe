package main

import (
	"slices"

	core "k8s.io/api/core/v1"
	meta "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/util/intstr"
)

// checkReferences wants what names or selects another object of the release to find it.
func (o *objects) checkReferences() {
	for _, d := range o.deployments {
		o.selects(title(d), d.Spec.Selector, d.Spec.Template.Labels)
		for _, c := range d.Spec.Template.Spec.TopologySpreadConstraints {
			o.selects(title(d)+" topology", c.LabelSelector, d.Spec.Template.Labels)
		}
		for _, b := range o.budgets {
			o.selects(title(b), b.Spec.Selector, d.Spec.Template.Labels)
		}
		for _, p := range o.networkPolicies {
			o.selects(title(p), &p.Spec.PodSelector, d.Spec.Template.Labels)
			for _, rule := range p.Spec.Ingress {
				for _, port := range rule.Ports {
					o.hasPort(title(p), d.Spec.Template.Spec.Containers, *port.Port)
				}
			}
		}
		for _, s := range o.services {
			o.selects(title(s), &meta.LabelSelector{MatchLabels: s.Spec.Selector}, d.Spec.Template.Labels)
			for _, port := range s.Spec.Ports {
				o.hasPort(title(s), d.Spec.Template.Spec.Containers, port.TargetPort)
			}
		}
		for _, s := range o.scalers {
			if t := s.Spec.ScaleTargetRef; t.Kind != "Deployment" || t.APIVersion != "apps/v1" || t.Name != d.Name {
				o.problem("%s: scales %s %s", title(s), t.Kind, t.Name)
			}
			if d.Spec.Replicas != nil {
				o.problem("%s: the deployment says replicas too", title(s))
			}
		}
	}
	for _, i := range o.ingresses {
		for _, rule := range i.Spec.Rules {
			for _, path := range rule.HTTP.Paths {
				o.hasService(title(i), path.Backend.Service.Name, func(p core.ServicePort) bool { return p.Name == path.Backend.Service.Port.Name })
			}
		}
	}
	for _, r := range o.routes {
		for _, rule := range r.Spec.Rules {
			for _, b := range rule.BackendRefs {
				o.hasService(title(r), string(b.Name), func(p core.ServicePort) bool { return p.Port == int32(*b.Port) })
			}
		}
	}
	o.checkSelected()
}

// checkSelected wants a monitor to select one Service, and no Service or budget to select a test's pod.
func (o *objects) checkSelected() {
	for _, m := range o.monitors {
		n := 0
		for _, s := range o.services {
			if matches(&m.Spec.Selector, s.Labels) {
				n++
				o.hasService(title(m), s.Name, func(p core.ServicePort) bool { return p.Name == m.Spec.Endpoints[0].Port })
			}
		}
		if n != 1 {
			o.problem("%s: selects %d services", title(m), n)
		}
	}
	for _, p := range o.pods {
		for _, d := range o.deployments {
			if matches(d.Spec.Selector, p.Labels) {
				o.problem("%s: is taken for one of %s", title(p), title(d))
			}
		}
	}
}

func (o *objects) selects(at string, selector *meta.LabelSelector, of map[string]string) {
	if selector == nil || !matches(selector, of) {
		o.problem("%s: does not select the pods", at)
	}
}

// matches reports whether a selector selects something, and these labels.
func matches(selector *meta.LabelSelector, of map[string]string) bool {
	s, err := meta.LabelSelectorAsSelector(selector)
	return err == nil && !s.Empty() && s.Matches(labels.Set(of))
}

func (o *objects) hasPort(at string, containers []core.Container, want intstr.IntOrString) {
	for _, c := range containers {
		for _, p := range c.Ports {
			if p.Name == want.StrVal && want.StrVal != "" {
				return
			}
		}
	}
	o.problem("%s: no container has the port %s", at, want.String())
}

func (o *objects) hasService(at, name string, port func(core.ServicePort) bool) {
	for _, s := range o.services {
		if s.Name == name && slices.ContainsFunc(s.Spec.Ports, port) {
			return
		}
	}
	o.problem("%s: no service %s has the port", at, name)
}
