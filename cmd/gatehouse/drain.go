package main

import (
	"context"
	"net/http"
	"time"
)

// drain is a context that ends some time after ctx does. In between everything
// is served, but the gateway is not ready: balancers take it out of service, and
// clients close their connections, before the listener does.
func (a *app) drain(ctx context.Context) context.Context {
	late, end := context.WithCancel(context.WithoutCancel(ctx))
	context.AfterFunc(ctx, func() {
		a.draining.Store(true)
		a.log.Info("draining", "seconds", a.cfg.Drain.Seconds())
		time.AfterFunc(a.cfg.Drain, end)
	})
	return late
}

// parting has clients close their connections once the gateway drains, after
// an answer and not in the midst of a request.
func (a *app) parting(h http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if a.draining.Load() {
			w.Header().Set("Connection", "close")
		}
		h.ServeHTTP(w, r)
	})
}
