package interop

// story is what every client does in front of the Go server (server_test.go), with the policy in
// testdata/policy. Each success after a refusal shows that the session has survived it.
func story(version string) []step {
	return []step{
		{Do: "version", want: want{text: version}},
		{Do: "tools", want: want{names: []string{"alert", "ask", "ask_password", "convert", "count", "echo", "greet", "grow", "think", "touch", "wait", "waiting"}}},
		{Do: "call", Name: "echo", Args: args{"text": "hello"}, want: want{text: "hello"}},
		{Do: "call", Name: "secret", want: denied(403, "policy_deny", "role_mismatch")},
		{Do: "call", Name: "echo", Args: args{"text": "still here"}, want: want{text: "still here"}},
		{Do: "call", Name: "convert", Args: args{"temp": 25}, want: want{text: "77"}},
		{Do: "call", Name: "convert", Args: args{"temp": -500}, want: denied(422, "validation_failed", "out_of_range")},
		{Do: "call", Name: "greet", Args: args{"name": "Ada"}, want: want{text: "Hello, Grace"}},
		{Do: "call", Name: "alert", want: want{text: "ALERT"}},
		{Do: "call", Name: "count", want: want{text: "counted", progress: []float64{1, 2, 3}}},
		{Do: "resources", want: want{names: []string{"test://public"}}},
		{Do: "read", Name: "test://public", want: want{text: "for all"}},
		{Do: "read", Name: "test://private", want: denied(403, "policy_deny", "role_mismatch")},
		{Do: "prompts", want: want{names: []string{"hello"}}},
		{Do: "prompt", Name: "forbidden", want: denied(403, "policy_deny", "role_mismatch")},
		{Do: "prompt", Name: "hello", want: want{text: "Say hello."}},
		{Do: "call", Name: "ask", want: want{text: "blue"}},
		{Do: "call", Name: "think", want: want{text: "four"}},
		{Do: "call", Name: "ask_password", want: want{failed: true}},
		{Do: "asked", want: want{names: []string{"What colour?", "2 + 2?"}}},
		{Do: "changed", Name: "grow", want: want{text: "changed"}},
		{Do: "call", Name: "echo", Args: args{"text": "bye"}, want: want{text: "bye"}},
	}
}

// referenceStory is what every client does in front of the TypeScript reference server.
func referenceStory(version string) []step {
	return []step{
		{Do: "version", want: want{text: version}},
		{Do: "tools", want: want{lacks: "get-env"}},
		{Do: "call", Name: "echo", Args: args{"message": "hello"}, want: want{text: "Echo: hello"}},
		{Do: "call", Name: "get-env", want: denied(403, "policy_deny", "role_mismatch")},
		{Do: "call", Name: "get-sum", Args: args{"a": 2, "b": 3}, want: want{text: "The sum of 2 and 3 is 5."}},
		{
			Do: "call", Name: "trigger-long-running-operation", Args: args{"duration": 0.3, "steps": 3},
			want: want{contains: "completed", progress: []float64{1, 2, 3}},
		},
		{Do: "call", Name: "trigger-elicitation-request", want: want{contains: "User provided the requested information"}},
		{Do: "call", Name: "trigger-sampling-request", Args: args{"prompt": "2 + 2?"}, want: want{contains: "four"}},
		{Do: "read", Name: "demo://resource/dynamic/text/1", want: want{contains: "Resource 1"}},
		{Do: "prompt", Name: "simple-prompt", want: want{contains: "simple prompt"}},
	}
}

type args = map[string]any
