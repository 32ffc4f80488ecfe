package upstream

// A Channel is a connection to one server over which whole messages travel both
// ways: to a process, or over HTTP with server-sent events.
type Channel interface {
	// Read waits for the server's next message: one JSON text, not yet parsed. A
	// message over the limit is skipped and told by mcp.ErrTooLong. Any other error
	// ends the channel, and says why as far as a log may tell; io.EOF: the server
	// ended it.
	Read() (string, error)
	// Write sends one message, and one goroutine at a time may call it. An error
	// ends the channel.
	Write(text string) error
	// Close ends the connection and all that belongs to it, and waits until that is
	// over. It may be called at any time, and more than once; Read and Write then
	// return.
	Close() error
}
