# Does what `make app` does, for you alone. Build: docker build -t kenviz .
# Run on your own machine: docker run -p 127.0.0.1:8501:8501 -e KENVIZ_I_KNOW=1 kenviz
# The port is published to this machine alone: there is no login. Without KENVIZ_I_KNOW=1 the container says so and ends.
FROM python:3.11-slim

RUN useradd --create-home --uid 1000 kenviz && mkdir /data && chown kenviz /data
WORKDIR /kenviz
COPY requirements.txt ./
RUN pip install --no-cache-dir --extra-index-url https://download.pytorch.org/whl/cpu -r requirements.txt
COPY --chown=kenviz pyproject.toml setup.py README.md LICENSE ./
COPY --chown=kenviz kencore kencore
COPY --chown=kenviz app app
COPY --chown=kenviz assets assets
RUN pip install --no-cache-dir --no-deps --editable .

USER kenviz
ENV KENVIZ_HOME=/data PYTHONUNBUFFERED=1
# machine code of the selection rules, beside their source; a machine of another kind makes its own
RUN python -m kencore warm
VOLUME /data
EXPOSE 8501
HEALTHCHECK --interval=30s --timeout=5s --start-period=30s \
    CMD python -c "import urllib.request as u; u.urlopen('http://localhost:8501/_stcore/health', timeout=4)"
CMD ["kenviz", "--no-browser", "--host", "0.0.0.0"]
