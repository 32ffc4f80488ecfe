package faults

// faults are the faults of the policy, its bundle, the server, the client and the process. What ends the
// process is in stop_test.go.
var faults = []fault{
	{"a rule divides by zero", rule("division"), aRule, policyError},
	{"a rule gets a value of another type", rule("type"), aRule, policyError},
	{"two rules contradict each other", rule("conflict"), aRule, policyError},
	{"the decision is undefined", rule("undefined"), aRule, policyError},
	{"the decision is an array", rule("array"), aRule, policyError},
	{"allow is a string", rule("string allow"), aRule, policyError},
	{"a rule reads a text as a number", rule("number"), aRule, policyError},
	{"the patch is a set", rule("patch of a set"), aRule, policyError},
	{"the patch does not apply", rule("patch"), aRule, policyError},
	{"a rule fails on the result", rule("result"), aRule, resultError},
	{"the patch does not apply to the result", rule("result patch"), aRule, resultError},
	{"a rule does not end", hungry("endless"), aRule, timedOut},
	{"a built-in does not look at the clock", stuck, aRule, timedOut},
	{"a rule collects without end", hungry("comprehension"), aRule, timedOut},
	{"a rule counts to a thousand million", hungry("range"), aRule, timedOut},
	{"a rule multiplies a text", hungry("doubling"), aRule, timedOut},
	{"a rule formats without end", hungry("format"), aRule, timedOut},

	{"the bundle is missing", missing, aBundle, policyMissing},
	{"the bundle is truncated", bad(truncated), aBundle, policyMissing},
	{"the bundle is no archive", bad(noArchive), aBundle, policyMissing},
	{"the bundle has another digest", wrongDigest, aBundle, policyMissing},
	{"the bundle is a bomb", bad(bomb), aBundle, policyMissing},
	{"the bundle is no Rego", bad(badRego), aBundle, policyMissing},
	{"the bundle has no mcp/decision", bad(noRule), aBundle, policyMissing},
	{"the bundle calls what is forbidden", bad(forbidden), aBundle, policyMissing},
	{"the disk does not give the bundle back", unreadable, aBundle, policyMissing},
	{"the source of bundles is gone", source(isGone, isRefused), aSource, inForce},
	{"the source of bundles redirects", source(redirects, isRefused), aSource, inForce},
	{"the source of bundles never ends", source(neverEnds, isRefused), aSource, inForce},
	{"the source of bundles drips", source(drips, isAsked), aSource, inForce},
	{"the source of bundles never answers", source(neverAnswers, isAsked), aSource, inForce},

	{"the server is down", down, aServer, failed(502, "the server is down")},
	{"the server resets the connection", mishandled(resets), aServer, failed(502, "the server is down")},
	{"the server answers with nothing", answering(""), aServer, served(502, "the server is down")},
	{"the server answers with garbage", answering("\x00\x01 no HTTP\r\n\r\n"), aServer, served(502, "the server is down")},
	{"the server breaks off in the head", answering(halfAHead), aServer, served(502, "the server is down")},
	{"the server breaks off in the body", answering(halfABody), aServer, served(502, "broke off")},
	{"the server breaks off in a stream", streaming(progress, brokenOff), aServer, inStream("the stream broke")},
	{"the server ends a stream without an answer", streaming(progress, ended), aServer, inStream("the stream ended")},
	{"the server answers another call", whole(otherID), aServer, served(502, "it answers another request")},
	{"the server answers no JSON", whole("{"), aServer, served(502, "malformed")},
	{"the server answers ambiguously", whole(`{"jsonrpc":"2.0","id":"a-1","id":"a-1","result":{}}`), aServer, served(502, "malformed")},
	{"the server answers too much", whole(tooLong()), aServer, served(502, "too long")},
	{"the server redirects", answering(redirect), aServer, served(502, "Temporary Redirect")},
	{"the server compresses unasked", answering(compressed), aServer, served(502, "it is encoded")},
	{"the server does not know the gateway", answering(wrongKey), aServer, served(502, "Unauthorized")},
	{"the server is overloaded", answering(overloaded), aServer, served(503, "Service Unavailable")},
	{"the server answers when the client has left", late, aServer, served(0, "the client left")},

	{"the process exits in the middle of a call", process("exit"), aServer, served(502, "the server ended")},
	{"the process exits at once", process("start"), aServer, failed(502, "the server ended")},
	{"the process writes half a line", process("half"), aServer, served(502, "the server ended")},
	{"the process writes what is no message", process("garbage"), aServer, served(502, "malformed")},
	{"the process writes too long a line", process("long"), aServer, served(502, "too long")},
	{"the process writes a line without end", process("endless"), aServer, served(502, "too long")},
	{"the process closes its output", process("close"), aServer, served(502, "it closed its output")},
	{"the process does not let itself be ended", process("deaf"), aServer, served(502, "it closed its output")},
	{"the process stops", stops, aServer, served(0, "the client left")},

	{"the client leaves", leaves, aClient, served(0, "the client left")},
	{"the client leaves a stream", leavesStream, aClient, served(0, "the client left")},
	{"the client breaks off", breaksOff, aClient, refused(0, "the body broke off")},
	{"the client sends no JSON", saying("{"), aClient, refused(400, "")},
	{"the client sends too much", saying(tooLong()), aClient, refused(413, "too large")},

	{"the disk for records is full", auditTo("/dev/full"), aRecord, notRecorded},
	{"the pipe for records is closed", auditPipe, aRecord, notRecorded},
	{"the configuration is gone at a hangup", configGone, thisOne, inForce},
	{"hangups come in a storm", storm, thisOne, inForce},
}

// inStream is a call whose stream to the client has begun, and ends with the error.
func inStream(says string) want {
	w := served(502, says)
	w.streamed = true
	return w
}
