"""Who may come in and what they may do: checks of requests, people, folders and quotas."""
