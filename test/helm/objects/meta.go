package main

import (
	"fmt"
	"strings"

	core "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/validation"
	meta "k8s.io/apimachinery/pkg/apis/meta/v1"
	labels "k8s.io/apimachinery/pkg/apis/meta/v1/validation"
	names "k8s.io/apimachinery/pkg/util/validation"
	"k8s.io/apimachinery/pkg/util/validation/field"
)

// checkMeta wants an object to have a name, labels and annotations that may be, and to be the only one of its kind
// and name.
func (o *objects) checkMeta(object meta.Object) {
	at := title(object)
	isName := names.IsDNS1123Subdomain
	if _, ok := object.(*core.Service); ok {
		isName = names.IsDNS1035Label
	}
	for _, why := range isName(object.GetName()) {
		o.problem("%s: name: %s", at, why)
	}
	path := field.NewPath(at, "metadata")
	errs := labels.ValidateLabels(object.GetLabels(), path.Child("labels"))
	errs = append(errs, validation.ValidateAnnotations(object.GetAnnotations(), path.Child("annotations"))...)
	for _, err := range errs {
		o.problem("%v", err)
	}
	for _, other := range o.all {
		if other != object && title(other) == at {
			o.problem("%s is there twice", at)
		}
	}
	if c, ok := object.(*core.ConfigMap); ok {
		size := 0
		for key, text := range c.Data {
			size += len(text)
			for _, why := range names.IsConfigMapKey(key) {
				o.problem("%s: key %q: %s", at, key, why)
			}
		}
		if size > 1<<20 {
			o.problem("%s: has %d bytes", at, size)
		}
	}
}

func title(object meta.Object) string {
	kind := fmt.Sprintf("%T", object)
	return kind[strings.LastIndex(kind, ".")+1:] + " " + object.GetName()
}
