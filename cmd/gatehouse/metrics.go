package main

import "github.com/prometheus/client_golang/prometheus"

// describe registers what tells of the gateway's state, as alerts need it.
func (a *core) describe() {
	gauge := func(name, help string, labels prometheus.Labels, value func() float64) {
		a.registry.MustRegister(prometheus.NewGaugeFunc(
			prometheus.GaugeOpts{Name: name, Help: help, ConstLabels: labels}, value))
	}
	gauge("gatehouse_info", "1, with the version and the mode.",
		prometheus.Labels{"version": version, "mode": string(a.cfg.Policy.Mode)},
		func() float64 { return 1 })
	gauge("gatehouse_bundle_loaded_timestamp_seconds", "When the bundle in force was activated; 0: there is none.", nil,
		func() float64 {
			if s := a.engine.Pin(); s != nil {
				return float64(s.Loaded.UnixMilli()) / 1000
			}
			return 0
		})
	gauge("gatehouse_bundle_failing", "1 while the newest bundle is not to be had, or refused, or something else is wrong with bundles.", nil,
		func() float64 {
			if a.engine.Status().Err != nil {
				return 1
			}
			return 0
		})
}
