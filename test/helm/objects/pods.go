package main

import (
	"slices"
	"strings"

	core "k8s.io/api/core/v1"
	meta "k8s.io/apimachinery/pkg/apis/meta/v1"
	labels "k8s.io/apimachinery/pkg/apis/meta/v1/validation"
	"k8s.io/apimachinery/pkg/util/validation/field"
	"k8s.io/pod-security-admission/api"
	"k8s.io/pod-security-admission/policy"
)

// checkPods checks each pod, of its own or of a deployment.
func (o *objects) checkPods() {
	restricted, err := policy.NewEvaluator(policy.DefaultChecks(), nil)
	if err != nil {
		o.problem("%v", err)
		return
	}
	check := func(at string, m *meta.ObjectMeta, spec *core.PodSpec) {
		for _, r := range restricted.EvaluatePod(api.LevelVersion{Level: api.LevelRestricted, Version: api.LatestVersion()}, m, spec) {
			if !r.Allowed {
				o.problem("%s: %s: %s", at, r.ForbiddenReason, r.ForbiddenDetail)
			}
		}
		for _, err := range labels.ValidateLabels(m.Labels, field.NewPath(at, "labels")) {
			o.problem("%v", err)
		}
		o.checkPod(at, spec)
	}
	for _, p := range o.pods {
		check(title(p), &p.ObjectMeta, &p.Spec)
	}
	for _, d := range o.deployments {
		check(title(d), &d.Spec.Template.ObjectMeta, &d.Spec.Template.Spec)
	}
}

// checkPod wants volumes that are used, and files that nobody writes, least of all with a token of the cluster.
func (o *objects) checkPod(at string, spec *core.PodSpec) {
	if spec.AutomountServiceAccountToken == nil || *spec.AutomountServiceAccountToken {
		o.problem("%s: has a token of the cluster", at)
	}
	own := slices.ContainsFunc(o.serviceAccounts, func(a *core.ServiceAccount) bool { return a.Name == spec.ServiceAccountName })
	if !own && len(o.serviceAccounts) > 0 {
		o.problem("%s: no service account %q", at, spec.ServiceAccountName)
	}
	volumes := map[string]bool{} // and whether one is mounted
	for _, v := range spec.Volumes {
		if _, ok := volumes[v.Name]; ok {
			o.problem("%s: two volumes %s", at, v.Name)
		}
		volumes[v.Name] = false
	}
	for _, c := range spec.Containers {
		if s := c.SecurityContext; s == nil || s.ReadOnlyRootFilesystem == nil || !*s.ReadOnlyRootFilesystem {
			o.problem("%s: the root of %s can be written", at, c.Name)
		}
		paths := map[string]bool{}
		for _, m := range c.VolumeMounts {
			if _, ok := volumes[m.Name]; !ok {
				o.problem("%s: no volume %s", at, m.Name)
			}
			if paths[m.MountPath] || !strings.HasPrefix(m.MountPath, "/") {
				o.problem("%s: two mounts at %q, or none", at, m.MountPath)
			}
			if m.SubPath != "" {
				o.problem("%s: %s would never change: subPath", at, m.MountPath)
			}
			volumes[m.Name], paths[m.MountPath] = true, true
		}
	}
	for name, mounted := range volumes {
		if !mounted {
			o.problem("%s: volume %s is not mounted", at, name)
		}
	}
}
